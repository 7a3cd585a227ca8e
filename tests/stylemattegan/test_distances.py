"""Distances of projected features, their features and their standard errors: nothing but the pictures may rule them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stylemattegan.metrics.features import Features, collect, joined, pixels, pooled, units
from stylemattegan.metrics.projections import projected_distances
from stylemattegan.metrics.uncertainty import standard_error

SIZES = (32, 64, 16)


def drawn(seed: int, n: int = 400, mean: float = 0.0) -> list[torch.Tensor]:
    dice = np.random.default_rng(seed)
    return [torch.from_numpy(dice.normal(mean, 1.0, (n, size))) for size in SIZES]


def test_a_set_is_at_no_distance_from_itself():
    real = drawn(0)
    frechet, kid = projected_distances(real, real, real)
    assert frechet == pytest.approx(0, abs=1e-6)
    assert abs(kid) < 0.1  # unbiased, so a little below 0 for one set twice


def test_two_samples_of_one_law_are_near_and_a_shift_is_told_in_units_of_the_spread():
    """A shift by one deviation in all of the 112 features is 32 directions' share of it: about 32 on average.

    E |P s|^2 over random bases is 32 / 112 |s|^2, and |s|^2 = sum over blocks of size / size = 3, scaled by 112 / 3.
    """
    real, same, moved = drawn(0), drawn(1), drawn(2, mean=1.0)
    near, _ = projected_distances(same, real, real)
    far, _ = projected_distances(moved, real, real)
    assert near < 5
    assert far == pytest.approx(32, rel=0.5)


def test_units_of_a_block_do_not_matter():
    real, other = drawn(0), drawn(1, mean=0.3)
    grown = [[block * by for block, by in zip(blocks, (1.0, 50.0, 0.01), strict=True)] for blocks in (real, other)]
    assert projected_distances(grown[1], grown[0], grown[0]) == pytest.approx(projected_distances(other, real, real))


def test_a_stray_pixel_in_an_empty_corner_counts_for_what_it_is():
    """The last block is an alpha whose first cell is empty in all training pictures, and full in two generated ones."""
    real, same = drawn(0), drawn(1)
    for blocks in (real, same):
        blocks[-1][:, 0] = 0
    before = projected_distances(same, real, real)
    same[-1][:2, 0] = 1.0
    assert projected_distances(same, real, real) == pytest.approx(before, rel=0.05, abs=0.02)


def test_a_block_that_never_varies_says_nothing():
    real, same = drawn(0), drawn(1)
    real[1][:], same[1][:] = 2.0, 2.0
    frechet, _ = projected_distances(same, real, real)
    assert np.isfinite(frechet)
    assert frechet < 5


def test_pooled_features_are_the_means_of_the_maps_over_grey_and_the_alpha():
    """An identity backbone: half-transparent white over mid-grey is 0.75 everywhere."""
    features = pooled("identity", lambda rgb: [rgb, rgb[:, :1, ::2, ::2]])
    rgba = torch.cat([torch.ones(2, 3, 20, 20), torch.full((2, 1, 20, 20), 0.5)], 1)
    whole, half, alpha = features.of(rgba)
    assert torch.allclose(whole, torch.full((2, 3), 0.75))
    assert torch.allclose(half, torch.full((2, 1), 0.75))
    assert torch.equal(alpha, torch.full((2, 64), 0.5))
    assert features.scaled


def test_a_backbone_sees_sides_that_are_multiples_of_32():
    seen = []
    pooled("looks", lambda rgb: seen.append(tuple(rgb.shape)) or [rgb]).of(torch.rand(1, 4, 33, 33))
    assert seen == [(1, 3, 64, 64)]


def test_pixels_are_colour_times_alpha_about_grey():
    rgba = torch.cat([torch.ones(1, 3, 16, 16), torch.full((1, 1, 16, 16), 0.25)], 1)
    (block,) = pixels().of(rgba)
    assert block.shape == (1, 256)
    assert block[0, 0].item() == pytest.approx(0.25)  # a (2F - 1)
    assert block[0, -1].item() == pytest.approx(-0.5)  # 2a - 1


def test_batches_are_collected_and_joined_in_units():
    features = Features("two numbers", lambda rgba: [rgba[:, 0, 0, :1], 10 * rgba[:, 0, 0, :1]], scaled=True)
    pictures = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(4, 1, 1, 1).expand(4, 4, 2, 2)
    blocks = collect(features, pictures.split(3))
    assert [block.shape for block in blocks] == [(4, 1), (4, 1)]
    assert blocks[0].dtype == torch.float64
    assert units(blocks) == pytest.approx([5**0.5, 10 * 5**0.5])
    scaled = joined(blocks, units(blocks))
    assert torch.allclose(scaled[:, 0], scaled[:, 1])
    assert units([torch.ones(4, 2)]) == [1.0]


def test_the_standard_error_of_a_difference_of_means():
    """sqrt(1/400 + 1/100) of unit normals; the estimate from one pair of sets is within a few tenths."""
    dice = np.random.default_rng(0)
    one, other = dice.normal(0, 1, (400, 1)), dice.normal(0, 1, (100, 1))
    found = standard_error(lambda a, b: float(a.mean() - b.mean()), one, other, halves=200)
    assert found == pytest.approx((1 / 400 + 1 / 100) ** 0.5, rel=0.2)


def test_a_standard_error_needs_two_halves():
    with pytest.raises(ValueError, match="halves=1: expected 2 or more"):
        standard_error(lambda a, b: 0.0, np.zeros((4, 1)), np.zeros((4, 1)), halves=1)
