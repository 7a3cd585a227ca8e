"""Tiles: where they lie, and that the blend adds up."""

import itertools

import pytest
import torch

from stylematte.inference.tiles import in_tiles, tile_starts

SIZES = [(1, 1, 8, 2), (50, 70, 16, 4), (64, 64, 64, 8), (65, 130, 64, 63), (33, 200, 32, 0), (10, 90, 32, 8)]


@pytest.mark.parametrize(("height", "width", "tile", "overlap"), SIZES)
def test_a_constant_stays_exactly_constant_and_the_identity_gives_the_picture(height, width, tile, overlap):
    image = torch.rand(2, 3, height, width)
    third = torch.tensor(1 / 3)
    constant = in_tiles(lambda part: third.expand(2, 1, *part.shape[-2:]), image, tile, overlap)
    assert constant.shape == (2, 1, height, width)
    assert (constant == third).all()
    assert (in_tiles(lambda part: part, image, tile, overlap) - image).abs().max() <= 1e-6


def test_starts_by_hand():
    assert tile_starts(10, 4, 0) == [0, 3, 6]
    assert tile_starts(10, 4, 2) == [0, 2, 4, 6]
    assert tile_starts(4, 4, 2) == tile_starts(3, 4, 2) == [0]


@pytest.mark.parametrize("size", range(17, 120, 5))
def test_neighbours_overlap_by_what_was_asked_at_least_and_the_end_is_reached(size):
    starts = tile_starts(size, 16, 5)
    assert starts[0] == 0
    assert starts[-1] == size - 16
    assert all(0 < b - a <= 16 - 5 for a, b in itertools.pairwise(starts))


def test_the_seam_is_a_straight_ramp():
    """Tiles that answer 0, then 1, over 4 shared pixels: 1/8, 3/8, 5/8, 7/8."""
    answers = iter([0.0, 1.0])
    out = in_tiles(lambda part: torch.full_like(part, next(answers)), torch.zeros(1, 1, 1, 12), 8, 4)
    assert out[0, 0, 0].tolist() == [0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1]


def test_no_call_sees_more_than_a_tile():
    seen = []
    in_tiles(lambda part: seen.append(part.shape[-2:]) or part, torch.zeros(1, 1, 100, 70), 32, 8)
    assert set(seen) == {(32, 32)}


def test_wrong_tiles_are_refused():
    with pytest.raises(ValueError, match="tile 8 and overlap 8"):
        in_tiles(lambda part: part, torch.zeros(1, 1, 20, 20), 8, 8)
    with pytest.raises(ValueError, match="came back as"):
        in_tiles(lambda part: part[..., 1:], torch.zeros(1, 1, 20, 20), 8, 2)
