"""The five figures against closed forms, a naive flood fill and the reference evaluator's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from stylematte import metrics
from tests.fixture_files import about, arrays


def test_equal_the_reference_evaluator_on_every_fixture():
    planes = arrays("metrics/metrics")
    for name, case in about("metrics/metrics")["cases"].items():
        pred, truth = (planes[f"{name}/{part}"].numpy().astype(np.float32) / 255 for part in ("prediction", "alpha"))
        ours = metrics.score_pair(pred, truth)
        for figure in metrics.FIGURES:
            assert ours[figure] == pytest.approx(case["p3m"][figure.upper()], rel=1e-6, abs=1e-9), (name, figure)


def test_closed_forms_of_the_means():
    truth = np.zeros((20, 50))
    truth[:, :25] = 1.0
    pred = np.full((20, 50), 0.25)
    assert metrics.sad(pred, truth) == pytest.approx((500 * 0.75 + 500 * 0.25) / 1000)
    assert metrics.mad(pred, truth) == pytest.approx(0.5)
    assert metrics.mse(pred, truth) == pytest.approx((0.75**2 + 0.25**2) / 2)


def test_one_grey_level_off_is_a_small_error_and_not_a_wrap_around():
    truth = np.full((600, 600), 0.5)
    assert metrics.sad(truth - 1 / 255, truth) == pytest.approx(360 / 255)


def test_a_perfect_matte_scores_zero_everywhere():
    truth = np.random.default_rng(0).random((13, 17))
    assert metrics.score_pair(truth, truth) == dict.fromkeys(metrics.FIGURES, 0.0)


def test_grad_of_a_ramp_against_a_flat_matte():
    """A ramp of slope s has |grad| = s away from the border, whatever the sigma: each pixel adds s^2 / 10."""
    short, long = (np.tile(np.arange(columns) * 0.004, (5, 1)) for columns in (110, 240))  # wider than a tile, and two
    found = [metrics.grad(ramp, np.zeros_like(ramp)) for ramp in (short, long)]
    assert found[1] - found[0] == pytest.approx(5 * 130 * 0.004**2 / 10, rel=2e-4)


def _flood(mask: np.ndarray) -> np.ndarray:
    """Largest 4-connected body by hand."""
    seen, best = np.zeros_like(mask), np.zeros_like(mask)
    for start in zip(*np.nonzero(mask), strict=True):
        if seen[start]:
            continue
        body, front = np.zeros_like(mask), [start]
        while front:
            y, x = front.pop()
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not body[y, x]:
                body[y, x] = True
                front += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
        seen |= body
        best = body if body.sum() > best.sum() else best
    return best


def test_conn_equals_the_definition_written_as_a_loop():
    rng = np.random.default_rng(3)
    pred, truth = (np.round(rng.random((9, 11)), 2).astype(np.float32) for _ in range(2))
    level, gone = np.ones_like(pred), np.zeros(pred.shape, bool)
    for k in range(1, 11):
        threshold = np.float32(np.arange(11)[k] * 0.1)
        shared = (pred >= threshold) & (truth >= threshold)
        if shared.any():
            left = ~_flood(shared) & ~gone
            level[left] = np.float32((k - 1) * 0.1)
            gone |= left
    total = 0.0
    for p, a, base in zip(pred.ravel(), truth.ravel(), level.ravel(), strict=True):
        phi = [1 - (v - base) * (v - base >= np.float32(0.15)) for v in (p, a)]
        total += abs(float(phi[0]) - float(phi[1]))
    assert metrics.conn(pred, truth) == pytest.approx(total / 1000, rel=1e-6)


def test_conn_counts_the_smaller_island_even_when_the_background_is_larger():
    """Diagonal neighbours are two bodies; the background, larger than both, is none."""
    truth = np.zeros((12, 12))
    truth[1:4, 1:4] = 1.0  # 9 pixels, the body
    truth[4:6, 4:6] = 1.0  # 4 pixels, touching it by a corner only
    pred = truth.copy()
    pred[4:6, 4:6] = 0.5  # d: truth 1 - 0, prediction 0.5 - 0
    assert metrics.conn(pred, truth) == pytest.approx(4 * 0.5 / 1000)


def test_conn_of_an_empty_prediction_is_zero_as_the_protocol_has_it():
    assert metrics.conn(np.zeros((8, 8)), np.ones((8, 8))) == 0.0


@pytest.mark.parametrize("figure", [metrics.sad, metrics.mse, metrics.mad, metrics.grad, metrics.conn])
@pytest.mark.parametrize(
    ("pred", "truth", "says"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), "prediction is uint8"),
        (np.zeros((4, 4)), np.zeros((4, 4), bool), "truth is bool"),
        (np.zeros((4, 5)), np.zeros((4, 4)), r"\(4, 5\).*\(4, 4\).*resize the prediction"),
        (np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), "one matte at a time"),
        (np.full((4, 4), np.nan), np.zeros((4, 4)), "prediction has values from nan"),
        (np.zeros((4, 4)), np.full((4, 4), 255.0), "truth has values from 255"),
    ],
)
def test_bad_input_is_refused_in_one_line(figure, pred, truth, says):
    with pytest.raises(ValueError, match=says) as error:
        figure(pred, truth)
    assert "\n" not in str(error.value)
