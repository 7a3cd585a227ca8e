"""The distance of a generator's pictures to its training set: nothing else than the pictures may rule it."""

from __future__ import annotations

import numpy as np
import pytest

from loop.stages.judge import distances

SIZES = (32, 64, 16)


def drawn(seed: int, n: int = 400, mean: float = 0.0) -> list[np.ndarray]:
    dice = np.random.default_rng(seed)
    return [dice.normal(mean, 1.0, (n, size)) for size in SIZES]


def test_a_set_is_at_no_distance_from_itself():
    real = drawn(0)
    frechet, kid = distances(real, real, real)
    assert frechet == pytest.approx(0, abs=1e-6)
    assert abs(kid) < 0.1  # unbiased, so a little below 0 for one set twice


def test_two_samples_of_one_law_are_near_and_a_shift_is_told_in_units_of_the_spread():
    """A shift by one deviation in all of the 112 features is 32 directions' share of it: about 32 on average.

    E |P s|^2 over random bases is 32 / 112 |s|^2, and |s|^2 = sum over blocks of size / size = 3, scaled by 112 / 3.
    """
    real, same, moved = drawn(0), drawn(1), drawn(2, mean=1.0)
    near, _ = distances(same, real, real)
    far, _ = distances(moved, real, real)
    assert near < 5
    assert far == pytest.approx(32, rel=0.5)


def test_units_of_a_block_do_not_matter():
    real, other = drawn(0), drawn(1, mean=0.3)
    grown = [[block * by for block, by in zip(blocks, (1.0, 50.0, 0.01), strict=True)] for blocks in (real, other)]
    assert distances(grown[1], grown[0], grown[0]) == pytest.approx(distances(other, real, real))


def test_a_stray_pixel_in_an_empty_corner_counts_for_what_it_is():
    """The last block is an alpha whose first cell is empty in all training pictures, and full in two generated ones."""
    real, same = drawn(0), drawn(1)
    for blocks in (real, same):
        blocks[-1][:, 0] = 0
    before = distances(same, real, real)
    same[-1][:2, 0] = 1.0
    assert distances(same, real, real) == pytest.approx(before, rel=0.05, abs=0.02)


def test_a_block_that_never_varies_says_nothing():
    real, same = drawn(0), drawn(1)
    real[1][:], same[1][:] = 2.0, 2.0
    frechet, _ = distances(same, real, real)
    assert np.isfinite(frechet)
    assert frechet < 5
