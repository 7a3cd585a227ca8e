"""Cut-outs placed as labelled subjects are: the same boxes, and cut off by the frame where they were cut off."""

from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pytest

from stylematte.data.placement import hard_background, mean_colour, move_cutout
from stylematte.data.subject_boxes import Box, box_placement, place_in_box, subject_box

SIDE = 64
WHOLE = (False, False, False, False)


def a_square(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


def moved(alpha: np.ndarray, target: Box, seed: int = 0, jitter: float = 0.0) -> Box:
    own = subject_box(alpha)
    assert own is not None
    matrix = box_placement(own, target, SIDE, np.random.default_rng(seed), jitter)
    found = subject_box(move_cutout(np.zeros((SIDE, SIDE, 3), np.uint8), alpha, matrix)[1])
    assert found is not None
    return found


def test_a_box_is_where_the_subject_is() -> None:
    assert subject_box(a_square(16, 32, 32, 64)) == Box(0.25, 0.5, 0.5, 1.0, (False, True, False, False))
    assert subject_box(np.zeros((SIDE, SIDE), np.uint8)) is None
    assert Box(0, 0, 0.5, 0.125, WHOLE).size == 0.25


@pytest.mark.parametrize("target", [(0.125, 0.25, 0.375, 0.5), (0.5, 0.25, 1.0, 0.75), (0.25, 0.25, 0.75, 0.75)])
def test_without_jitter_a_subject_gets_the_box_it_is_given(target: tuple[float, ...]) -> None:
    assert moved(a_square(20, 10, 40, 30), Box(*target, WHOLE))[:4] == pytest.approx(target, abs=1.5 / SIDE)


def test_another_aspect_keeps_the_area_and_the_centre() -> None:
    found = moved(a_square(24, 8, 32, 40), Box(0.25, 0.25, 0.75, 0.75, WHOLE))  # 1 : 4
    assert (found.right - found.left, found.bottom - found.top) == pytest.approx((0.25, 1.0), abs=2 / SIDE)
    assert ((found.left + found.right) / 2, (found.top + found.bottom) / 2) == pytest.approx((0.5, 0.5), abs=1 / SIDE)


def test_boxes_of_placed_subjects_are_distributed_as_the_labelled_ones() -> None:
    rng = np.random.default_rng(0)
    labelled = []
    for _ in range(300):
        size = rng.uniform(0.2, 0.5)
        left, top = rng.uniform(0, 0.4) * (1 - size), rng.uniform(0.6, 1) * (1 - size)  # low on the left
        labelled.append(Box(left, top, left + size, top + size, WHOLE))
    cutout = a_square(12, 12, 52, 52)  # framed as a generator's are: large and central
    found = np.array([moved(cutout, target, seed, jitter=1.0)[:4] for seed, target in enumerate(labelled)])
    wanted = np.array([box[:4] for box in labelled])
    assert np.abs(found.mean(0) - wanted.mean(0)).max() < 0.03
    # turned by up to 10 degrees, a square's box is a little larger
    for share in (0.1, 0.5, 0.9):
        assert np.abs(np.quantile(found, share, 0) - np.quantile(wanted, share, 0)).max() < 0.05


@pytest.mark.parametrize(
    ("own", "touched"),
    [
        ((20, 24, 44, 64), (False, True, False, False)),
        ((0, 24, 30, 64), (False, True, True, False)),
        ((0, 10, 64, 50), (False, False, True, True)),
        ((0, 0, 64, 40), (True, False, True, True)),
    ],
)
def test_a_cut_off_subject_stays_cut_off_there_and_nowhere_else(
    own: tuple[int, int, int, int], touched: tuple[bool, bool, bool, bool]
) -> None:
    rng = np.random.default_rng(1)
    for seed in range(60):
        left, top = rng.uniform(0, 0.6, 2)
        size = rng.uniform(0.1, 0.4)
        target = Box(left, top, left + size, top + size, WHOLE)
        found = moved(a_square(*own), target, seed, jitter=1.0)
        assert found.touched[:2] == touched[:2] or (touched[2] and touched[3])  # as wide as the frame, or wider
        assert all(there for there, wanted in zip(found.touched, touched, strict=True) if wanted)


def test_the_edge_that_the_frame_cuts_does_not_fade() -> None:
    own = subject_box(a_square(20, 44, 44, 64))
    assert own is not None
    matrix = box_placement(own, Box(0.1, 0.1, 0.9, 0.9, WHOLE), SIDE, np.random.default_rng(0), jitter=0)
    _, alpha = move_cutout(np.zeros((SIDE, SIDE, 3), np.uint8), a_square(20, 44, 44, 64), matrix)
    assert alpha[-1].max() == 255
    assert alpha[-1].max() == alpha[-8].max()


def test_a_box_cut_off_by_the_same_sides_is_preferred() -> None:
    bottom = (False, True, False, False)
    boxes = [Box(0, 0, 0.2, 0.2, WHOLE), Box(0.5, 0.5, 1.0, 1.0, bottom), Box(0.1, 0.1, 0.9, 0.9, WHOLE)]

    def placed(given: Iterator[Box]) -> Box:
        colour, alpha = np.zeros((SIDE, SIDE, 3), np.uint8), a_square(16, 32, 48, 64)
        found = subject_box(place_in_box(colour, alpha, given, np.random.default_rng(3), mirror=False)[1])
        assert found is not None
        return found

    found = placed(cycle(boxes))
    assert (found.left + found.right) / 2 == pytest.approx(0.75, abs=0.08)
    assert found.size == pytest.approx(0.5, rel=0.15)
    mirrored = place_in_box(*bare(a_square(16, 32, 48, 64)), cycle(boxes), np.random.default_rng(3), mirror=True)[1]
    assert np.flatnonzero(mirrored.any(0)).mean() / SIDE == pytest.approx(0.25, abs=0.08)
    assert placed(iter([])).left == pytest.approx(0.25, abs=0.1)  # nobody is labelled: about its own place


def bare(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((SIDE, SIDE, 3), np.uint8), alpha


def test_the_mean_colour_is_of_what_can_be_seen() -> None:
    colour = np.array([[[200, 0, 0], [100, 50, 0]], [[0, 0, 255], [0, 255, 0]]], np.uint8)
    alpha = np.array([[255, 255], [0, 0]], np.uint8)
    assert mean_colour(colour, alpha) == pytest.approx([150, 25, 0])
    assert mean_colour(colour, np.array([[51, 204], [0, 0]], np.uint8)) == pytest.approx([120, 40, 0])


def test_a_hard_background_has_the_subjects_colour() -> None:
    alpha = a_square(16, 16, 48, 48)
    colour = np.where(alpha[..., None] > 0, np.array([180, 90, 30], np.uint8), np.array([0, 255, 0], np.uint8))
    found = [hard_background(colour, alpha, np.random.default_rng(seed)) for seed in range(60)]
    flat = [each for each in found if (each == each[0, 0]).all()]
    assert 20 <= len(flat) <= 40
    assert all(each[0, 0].tolist() == [180, 90, 30] for each in flat)
    for each in found:
        assert each.dtype == np.uint8
        assert np.abs(each.mean((0, 1)) - [180, 90, 30]).max() < 2
        assert each.std((0, 1)).max() < 16


def test_a_hard_background_is_of_one_part_of_the_subject() -> None:
    """Of a subject in two colours, backgrounds in either and between them; never of what is transparent."""
    alpha = a_square(0, 0, 64, 64)
    colour = np.zeros((SIDE, SIDE, 3), np.uint8)
    colour[:, :32], colour[:, 32:] = (200, 100, 50), (40, 100, 50)
    found = [hard_background(colour, alpha, np.random.default_rng(seed)).mean((0, 1)) for seed in range(60)]
    reds = np.array([each[0] for each in found])
    assert (reds > 195).sum() > 10
    assert (reds < 45).sum() > 10
    assert np.abs(np.array(found)[:, 1:] - [100, 50]).max() < 2


def test_a_cutout_that_cannot_be_seen_gets_a_plain_background() -> None:
    none = np.zeros((SIDE, SIDE), np.uint8)
    found = hard_background(np.zeros((SIDE, SIDE, 3), np.uint8), none, np.random.default_rng(0))
    assert found.shape == (SIDE, SIDE, 3)
    colour, alpha = place_in_box(*bare(none), iter([]), np.random.default_rng(0), mirror=False)
    assert not alpha.any()
    assert not colour.any()
