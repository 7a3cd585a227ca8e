"""Refinement of alphas on drawn shapes: what is mended, what stays, what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stylematte.refine.alpha import refine_alpha
from stylematte.refine.artefacts import CURABLE, HOPELESS, corrupt

SIDE = 256


def soft(distance: np.ndarray, width: float = 6.0) -> np.ndarray:
    """A ramp from 1 inside to 0 outside, `width` pixels wide, of a signed distance (positive inside)."""
    return np.clip(distance / width + 0.5, 0, 1).astype(np.float32)


def figure() -> np.ndarray:
    """A head on shoulders with six soft curls, cut by the lower edge of the frame."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    head = 55 - np.hypot(x - 128, y - 95)
    shoulders = 1 - np.maximum(np.abs(x - 128) / 95, (230 - y) / 100)
    alpha = np.maximum(soft(head), soft(shoulders * 60))
    for k in range(6):
        curl = 2.0 - np.abs(np.hypot(x - 88 - 16 * k, y - 46) - 9)
        alpha = np.maximum(alpha, 0.8 * soft(curl, 3))
    return alpha


def arm_on_hip() -> tuple[np.ndarray, np.ndarray]:
    """A body with an arm whose gap is background, and where the gap is."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    body = 60 - np.maximum(np.abs(x - 110), np.abs(y - 150) * 0.6)
    arm = 12 - np.abs(np.hypot(x - 170, y - 140) - 34)
    alpha = np.maximum(soft(body), soft(arm))
    return alpha, (np.hypot(x - 180, y - 140) < 14) & (alpha < 0.02)


def ring() -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return soft(30 - np.abs(np.hypot(x - 128, y - 128) - 70))


def sad(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum() / 1000)


@pytest.mark.parametrize("name", [*CURABLE, "all"])
def test_what_generators_do_wrong_is_mended(name: str) -> None:
    alpha = figure()
    artefacts = CURABLE.values() if name == "all" else [CURABLE[name]]
    spoilt = corrupt(alpha, artefacts, np.random.default_rng(1))
    refined, _, verdict = refine_alpha(spoilt)
    left = 0.25 if name in {"holes", "frame bands"} else 0.1  # little is spoilt there, and a stripe may touch the body
    assert sad(refined, alpha) < left * sad(spoilt, alpha)
    assert verdict.accepted, verdict.reason


@pytest.mark.parametrize("alpha", [figure(), ring(), arm_on_hip()[0]], ids=["figure", "ring", "arm"])
def test_a_clean_matte_stays(alpha: np.ndarray) -> None:
    refined, figures, verdict = refine_alpha(alpha)
    assert sad(refined, alpha) <= 0.05
    assert figures.band_change <= 0.003
    assert verdict.accepted, verdict.reason


def test_real_gaps_stay_and_false_holes_are_filled() -> None:
    alpha, gap = arm_on_hip()
    alpha = alpha.copy()
    alpha[150:153, 100:103] = 0.1  # a speck of nothing in the middle of the chest
    refined, figures, _ = refine_alpha(alpha)
    assert gap.any()
    assert (refined[gap] == 0).all()
    assert (refined[145:158, 95:108] == 1).all()
    assert (figures.gaps, figures.filled) == (1, 1)


def block() -> np.ndarray:
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[60:200, 60:200] = 1
    return alpha


def test_holes_that_are_linked_to_the_outside_stay_and_a_lone_one_is_filled() -> None:
    net = block()
    for row in range(66, 190, 9):
        for column in range(66, 120, 9):  # 3 x 3 pixels of nothing, 6 from the edge and from one another
            net[row : row + 3, column : column + 3] = 0
    alpha = net.copy()
    alpha[130:133, 150:153] = 0
    refined, figures, _ = refine_alpha(alpha)
    assert (refined == net).all()
    assert (figures.gaps, figures.filled) == (14 * 6, 1)


@pytest.mark.parametrize(
    ("first", "last", "rim", "expected"),
    [(63, 100, 0.95, 1), (60, 100, 0.7, 0.7), (63, 68, 0.95, 0.7)],
    ids=["of the core", "from the border", "behind a lock"],
)
def test_translucency_is_trusted_unless_it_reaches_the_core_alone(
    first: int, last: int, rim: float, expected: float
) -> None:
    alpha = block()
    alpha[100:130, 60:first] = rim
    alpha[100:130, first:last] = 0.7
    alpha[100:130, last : last + 2] = 0.95
    refined = refine_alpha(alpha).alpha
    assert np.allclose(refined[100:130, 63:68], expected)
    assert (refined[100:130, 75:] == block()[100:130, 75:]).all()  # deeper than the band: core
    assert (refine_alpha(refined).alpha == refined).all()


@pytest.mark.parametrize("name", HOPELESS)
def test_what_cannot_be_mended_is_refused(name: str) -> None:
    verdict = refine_alpha(corrupt(figure(), [HOPELESS[name]], np.random.default_rng(1))).verdict
    assert (verdict.accepted, verdict.rule) == (False, name.removeprefix("full "))


@pytest.mark.parametrize("seed", range(4))
def test_a_second_time_changes_nothing(seed: int) -> None:
    spoilt = corrupt(figure(), CURABLE.values(), np.random.default_rng(seed))
    once = refine_alpha(spoilt).alpha
    assert np.abs(refine_alpha(once).alpha - once).max() <= 1 / 255


def test_radii_are_relative_to_the_picture() -> None:
    spoilt = corrupt(figure(), CURABLE.values(), np.random.default_rng(1))
    large = cv2.resize(spoilt, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_LINEAR)
    small, doubled = refine_alpha(spoilt), refine_alpha(large)
    assert abs(small.figures.foreground - doubled.figures.foreground) < 0.002
    assert abs(small.figures.band - doubled.figures.band) < 0.01


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_any_float_goes_in_and_float32_comes_out(dtype: type) -> None:
    refined = refine_alpha(figure().astype(dtype)).alpha
    assert refined.dtype == np.float32
    assert sad(refined, figure()) <= 0.05


def test_nothing_and_everything_are_refused() -> None:
    for value, reason in ((0.0, "foreground 0.000 below 0.05"), (1.0, "foreground 1.000 above 0.95")):
        refined, _, verdict = refine_alpha(np.full((40, 30), value, np.float32))
        assert verdict.reason == reason
        assert (refined == value).all()


def test_two_people_are_refused() -> None:
    two = np.concatenate([figure()[:, 40:216], figure()[:, 40:216]], 1)
    two[:, 170:182] = 0
    assert refine_alpha(two).verdict.reason == "2 bodies, at most 1 expected"


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4)), np.full((4, 4), np.nan)])
def test_what_is_no_alpha_raises(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected an alpha"):
        refine_alpha(bad)
