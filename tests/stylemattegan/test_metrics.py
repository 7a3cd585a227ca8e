"""Frechet and kernel distance: closed forms, and the fixtures' values."""

import json
from pathlib import Path

import numpy as np
import pytest

from stylemattegan.metrics import frechet_distance, kernel_distance

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "stylegan3"


@pytest.fixture
def fixture():
    if not (FIXTURES / "metrics.npz").exists():
        pytest.skip("no fixtures")
    return json.loads((FIXTURES / "metrics.json").read_text()), np.load(FIXTURES / "metrics.npz")


def test_frechet_equals_the_reference(fixture):
    expected, data = fixture
    assert frechet_distance(data["feat_gen"], data["feat_real"]) == pytest.approx(expected["fid"], rel=1e-4)


def test_kernel_equals_the_reference(fixture):
    """The reference averages over 20 subsets of 100."""
    expected, data = fixture
    subsets = [
        kernel_distance(data["feat_gen"][generated], data["feat_real"][real])
        for generated, real in zip(data["kid_picks_gen"], data["kid_picks_real"], strict=True)
    ]
    assert np.mean(subsets) == pytest.approx(expected["kid"], rel=1e-4)


def test_frechet_of_shifted_and_scaled_features():
    """Axis-wise Gaussians: squared shift plus squared difference of the standard deviations."""
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])  # standard deviation sqrt(1/2) on both axes
    assert frechet_distance(cross, cross + np.array([3, 4])) == pytest.approx(25)
    assert frechet_distance(cross, 3 * cross) == pytest.approx(2 * (3 - 1) ** 2 * 0.5)
    assert frechet_distance(cross, cross) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_samples_than_features():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 20)), rng.normal(size=(9, 20)) + 1
    padded = [np.concatenate([x, x, x, x]) for x in (a, b)]  # same mean and covariance, other branch
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(*padded), rel=1e-6)


def test_kernel_against_the_definition():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))

    def k(u, v):
        return (sum(u * v) / 3 + 1) ** 3

    naive = sum(k(x[i], x[j]) for i in range(4) for j in range(4) if i != j) / 12
    naive += sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    naive -= 2 * sum(k(u, v) for u in x for v in y) / 20
    assert kernel_distance(x, y) == pytest.approx(naive)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("other", "words"),
    [(np.zeros((4, 2)), "differ in length"), (np.zeros((1, 3)), "at least 2"), (np.full((4, 3), np.nan), "nan")],
)
def test_bad_features(distance, other, words):
    with pytest.raises(ValueError, match=words):
        distance(np.zeros((4, 3)), other)
