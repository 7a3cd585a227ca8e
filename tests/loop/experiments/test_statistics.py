"""The interval of a change over seeds and pictures: by hand where it can be, and how often it holds the truth."""

import math

import numpy as np
import pytest

from loop.experiments.statistics import UNKNOWN, _variance_of_mean, detectable, interval, p_value


def test_no_difference_has_no_width():
    errors = np.random.default_rng(0).random((3, 12))
    assert interval(errors, errors) == (0.0, 0.0, 0.0)


def test_the_same_factor_everywhere_is_certain():
    control = np.random.default_rng(0).random((12, 15))
    change, low, high = interval(1.25 * control, control)
    assert (change, low, high) == pytest.approx((0.25, 0.25, 0.25))


def test_one_number_says_nothing():
    assert interval(np.array([[2.0]]), np.array([[1.0]])) == (1.0, -1.0, UNKNOWN)
    assert detectable(np.array([[2.0]]), np.array([[1.0]])) is None


def test_an_error_of_nothing_says_nothing():
    assert interval(np.ones((2, 3)), np.zeros((2, 3))) == (UNKNOWN, -1.0, UNKNOWN)


def test_two_seeds_by_hand():
    """Differences 1 and 3: mean 2, deviation sqrt(2), so an error of 1; t(0.975, 1) = 12.706, t(0.8, 1) = 1.376."""
    new, control = np.array([[11.0], [13.0]]), np.array([[10.0], [10.0]])
    change, low, high = interval(new, control)
    assert change == pytest.approx(0.2)
    assert low == -1.0  # 0.2 - 1.27 would be less than nothing
    assert high == pytest.approx(0.2 + 1.2706, abs=1e-4)
    assert detectable(new, control) == pytest.approx((12.706 + 1.376) / 10, abs=1e-3)


def test_variance_of_a_crossed_design_by_hand():
    """Rows differ, columns do not, nothing is left over: the variance of the mean is that of 2 rows, 1 / 2."""
    rows = np.array([[0.0, 0, 0, 0], [1, 1, 1, 1]])
    assert _variance_of_mean(rows) == pytest.approx((0.25, 1.0))
    assert _variance_of_mean(rows.T) == pytest.approx((0.25, 1.0))


@pytest.mark.parametrize(("seeds", "pictures"), [(1, 20), (3, 14), (12, 12)])
def test_the_interval_holds_the_truth_about_19_times_in_20(seeds, pictures):
    """Two arms of equal worth, with differences that belong to a seed, to a picture and to both."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        control = 1 + rng.normal(0, 0.2, (1, pictures)) + np.zeros((seeds, 1))
        of_seed = rng.normal(0, 0.1 if seeds > 1 else 0, (seeds, 1))
        difference = of_seed + rng.normal(0, 0.1, (1, pictures)) + rng.normal(0, 0.1, (seeds, pictures))
        _, low, high = interval(control + difference, control, resamples=400)
        held += low <= 0 <= high
    assert 0.89 <= held / 200 <= 0.995


def test_p_of_two_seeds_by_hand():
    """Differences 1 and 3: t = 2 with 1 degree of freedom, whose tail is 1/2 - atan(2)/pi on either side."""
    new, control = np.array([[11.0], [13.0]]), np.array([[10.0], [10.0]])
    assert p_value(new, control) == pytest.approx(1 - 2 * math.atan(2) / math.pi)


def test_p_of_one_seed_is_that_of_the_paired_t_test():
    from scipy.stats import ttest_rel

    new, control = np.random.default_rng(0).random((2, 1, 12))
    assert p_value(new, control) == pytest.approx(ttest_rel(new[0], control[0]).pvalue)


def test_p_where_nothing_varies():
    ones = np.ones((2, 3))
    assert (p_value(ones, ones), p_value(2 * ones, ones), p_value(ones[:1, :1], ones[:1, :1])) == (1.0, 0.0, None)
