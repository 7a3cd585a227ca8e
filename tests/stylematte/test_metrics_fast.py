"""The fast figures equal their definitions; the trimap's figures equal the reference evaluators' own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from stylematte import metrics
from stylematte.metrics import connectivity, gradient, reference
from tests.fixture_files import about, arrays

KINDS = ("noise", "bytes", "tenths", "blobs", "plateau", "binary", "sparse", "empty", "full")


def matte(kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    noise = rng.random(shape)
    smooth = ndimage.gaussian_filter(noise - 0.5, 1.5) * 6 + rng.uniform(0.2, 0.8)
    made = {
        "noise": lambda: noise,
        "bytes": lambda: np.round(noise * 255) / 255,
        "tenths": lambda: np.round(noise * 10) / 10,  # every value on a threshold: ties everywhere
        "blobs": lambda: np.clip(smooth, 0, 1),
        "plateau": lambda: np.round(np.clip(smooth, 0, 1) * 3) / 3,
        "binary": lambda: (noise > 0.5).astype(float),
        "sparse": lambda: np.where(noise > 0.9, noise, 0),  # many islands of one pixel, equal in size
        "empty": lambda: np.zeros(shape),
        "full": lambda: np.ones(shape),
    }
    return made[kind]().astype(np.float32)


@pytest.mark.parametrize("exact_below", [0, gradient.EXACT_BELOW])
@pytest.mark.parametrize("kind", KINDS)
def test_fast_equals_reference_on_random_mattes(kind, exact_below, monkeypatch):
    monkeypatch.setattr(gradient, "EXACT_BELOW", exact_below)
    tolerance = {"rel": 1e-6, "abs": 1e-9} if exact_below else {"rel": 3e-6, "abs": 1e-8}
    rng = np.random.default_rng(KINDS.index(kind))
    for number in range(45):
        shape = (int(rng.integers(1, 30)), int(rng.integers(1, 30)))
        truth = matte(KINDS[number % len(KINDS)], rng, shape)
        pred = matte(kind, rng, shape)
        if number % 3 == 0:
            pred = np.clip(truth + 0.1 * pred - 0.05, 0, 1)  # a close matte, as real ones are
        assert metrics.conn(pred, truth) == pytest.approx(reference.conn(pred, truth), rel=1e-6, abs=1e-9)
        assert metrics.grad(pred, truth) == pytest.approx(reference.grad(pred, truth), **tolerance)
        for name in ("sad", "mse", "mad"):
            mine, expected = (getattr(module, name)(pred, truth) for module in (metrics, reference))
            assert mine == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fast_equals_reference_inside_a_trimap(kind, dtype):
    rng = np.random.default_rng(100 + KINDS.index(kind))
    for _ in range(15):
        shape = (int(rng.integers(2, 24)), int(rng.integers(2, 24)))
        pred, truth = (matte(k, rng, shape).astype(dtype) for k in (kind, str(rng.choice(KINDS))))
        trimap = rng.choice([0, 128 / 255, 1], shape)
        trimap[0, 0] = 0.5
        ours, expected = (module.score_pair(pred, truth, trimap) for module in (metrics, reference))
        assert list(ours) == list(metrics.TRIMAP_FIGURES)
        assert ours == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("module", [metrics, reference], ids=["fast", "reference"])
def test_all_figures_equal_the_fixtures(module):
    planes = arrays("metrics/metrics")
    ours_to_theirs = {key: key.replace("-", "_").upper() for key in metrics.TRIMAP_FIGURES}
    for name, case in about("metrics/metrics")["cases"].items():
        parts = ("prediction", "alpha", "trimap")
        pred, truth, trimap = (planes[f"{name}/{part}"].numpy().astype(np.float32) / 255 for part in parts)
        ours = module.score_pair(pred, truth, trimap)
        for key, theirs in ours_to_theirs.items():
            if theirs in case["p3m"]:
                assert ours[key] == pytest.approx(case["p3m"][theirs], rel=1e-6, abs=1e-9), (name, key)
        unknown = module.composition_1k(pred, truth, trimap)
        for key, value in unknown.items():
            assert value == pytest.approx(case["adobe"][key.upper()], rel=1e-6, abs=1e-9), (name, key)
        assert (ours["Grad-T"], ours["Conn-T"]) == (unknown["Grad"], unknown["Conn"])


def test_a_large_pair_in_float32():
    """1080 x 810: the sum over many pixels evens out what float32 rounds."""
    rng = np.random.default_rng(5)
    truth = np.clip(ndimage.gaussian_filter(rng.standard_normal((1080, 810)), 20) * 60 + 0.5, 0, 1)
    truth = (np.round(truth * 255) / 255).astype(np.float32)
    pred = np.clip(truth + 0.02 * rng.standard_normal(truth.shape), 0, 1).astype(np.float32)
    assert truth.size > gradient.EXACT_BELOW
    assert metrics.score_pair(pred, truth) == pytest.approx(reference.score_pair(pred, truth), rel=2e-7)


@pytest.mark.parametrize("tile", [8, 21])
def test_flat_tiles_are_passed_over_and_change_nothing(tile, monkeypatch):
    """A soft square on black, alone in one corner: most tiles are flat in one picture, in both, or known."""
    monkeypatch.setattr(gradient, "TILE", tile)
    truth, pred = np.zeros((2, 90, 70))
    truth[10:30, 5:25], pred[12:30, 5:26] = 1, 1
    truth, pred = (ndimage.gaussian_filter(a, 1, truncate=3).astype(np.float32) for a in (truth, pred))
    trimap = np.where((truth > 0) & (truth < 1), 0.5, truth > 0.5)
    filtered = []
    real = gradient._slope
    monkeypatch.setattr(gradient, "_slope", lambda part, kernels: filtered.append(part.size) or real(part, kernels))
    ours, expected = (module.score_pair(pred, truth, trimap) for module in (metrics, reference))
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert 0 < sum(filtered) < 4 * truth.size


def test_the_body_met_first_wins_among_equals():
    mask = np.zeros((5, 7), np.uint8)
    mask[0, 5:] = mask[2, :2] = mask[4, 3:5] = 1  # three bodies of two pixels
    assert np.argwhere(connectivity._largest(mask)).tolist() == [[0, 5], [0, 6]]


def test_closed_forms_inside_a_trimap():
    truth = np.zeros((10, 20))
    truth[:, 10:] = 1
    trimap = truth.copy()
    trimap[:, 8:12] = 0.5  # 40 pixels unknown, 80 background, 80 foreground
    pred = np.full((10, 20), 0.25)
    scores = metrics.score_pair(pred, truth, trimap)
    assert scores["SAD-T"] == pytest.approx((20 * 0.25 + 20 * 0.75) / 1000)
    assert scores["MAD-T"] == pytest.approx(0.5)
    assert scores["MSE-T"] == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert scores["SAD-FG"] == pytest.approx(80 * 0.75 / 1000)
    assert scores["SAD-BG"] == pytest.approx(80 * 0.25 / 1000)


def test_where_the_trimap_knows_a_truth_that_disagrees_counts_in_sad_t_alone():
    truth, trimap = np.full((4, 4), 0.9), np.ones((4, 4))
    trimap[0, 0] = 0.5
    scores = metrics.score_pair(truth, truth, trimap)
    assert scores["SAD-T"] == pytest.approx(15 * 0.1 / 1000)
    assert scores["Conn-T"] == scores["Grad-T"] == scores["SAD-FG"] == 0


@pytest.mark.parametrize(
    ("trimap", "says"),
    [
        (np.full((4, 4), 128, np.uint8), "trimap is uint8"),
        (np.full((4, 5), 0.5), "differ in size"),
        (np.full((4, 4), 0.3), "16 pixels of other values, such as 0.3"),
        (np.full((4, 4), np.nan), "16 pixels of other values"),
        (np.ones((4, 4)), "no unknown pixel"),
    ],
)
def test_a_bad_trimap_is_refused_in_one_line(trimap, says):
    with pytest.raises(ValueError, match=says) as error:
        metrics.score_pair(np.zeros((4, 4)), np.zeros((4, 4)), trimap)
    assert "\n" not in str(error.value)


def test_only_some_figures():
    pred, truth = np.zeros((4, 4)), np.ones((4, 4))
    assert metrics.score_pair(pred, truth, only=("Conn", "SAD")) == {"Conn": 0.0, "SAD": 0.016}
