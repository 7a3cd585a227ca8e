"""Distances of cut-outs: each part answers to its own fault, and density, coverage and spread in closed form."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stylemattegan.metrics import cutout_distances, cutouts, density_coverage, spread
from stylemattegan.metrics.features import pixels


def discs(seed: int, count: int = 24, soft: float = 4.0) -> Tensor:
    """(count, 4, 32, 32): coloured discs of many sizes with an edge `soft` pixels wide."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    radius = torch.rand(count, 1, 1, 1, generator=rng) * 6 + 6
    alpha = ((radius - torch.hypot(x, y)) / soft + 0.5).clamp(0, 1)
    return torch.cat([torch.rand(count, 3, 1, 1, generator=rng).expand(-1, -1, 32, 32), alpha], 1)


def measured(made: Tensor, real: Tensor, **options: int) -> dict[str, float]:
    return cutout_distances(*(cutouts(pixels(), each.split(10)) for each in (made, real)), scaled=False, **options)


def test_equal_sets_are_at_no_distance() -> None:
    assert max(measured(discs(1), discs(1)).values()) == pytest.approx(0, abs=1e-8)


def test_a_wrong_colour_is_seen_in_the_colour_alone_and_a_hard_edge_in_the_alpha() -> None:
    real = discs(1)
    red = torch.cat([torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(24, -1, 32, 32), real[:, 3:]], 1)
    found = measured(red, real)
    assert found["frechet_rgb"] > 1 < found["frechet_composite"]
    assert found["frechet_alpha"] == pytest.approx(0, abs=1e-8)
    assert found["band"] == 0
    hard = discs(1, soft=0.5)
    assert measured(hard, real)["frechet_alpha"] > 0.01
    assert measured(hard, real)["band_width"] > measured(hard, real)["band_area"]


def test_the_bootstrap_says_how_sure_a_distance_is() -> None:
    few, many = (measured(discs(2, count), discs(1, count), resamples=30) for count in (12, 96))
    assert set(few) == {name + end for name in measured(discs(1), discs(1)) for end in ("", "_error")}
    assert few["band_area_error"] > 1.5 * many["band_area_error"] > 0
    assert few == measured(discs(2, 12), discs(1, 12), resamples=30)


def test_density_and_coverage_on_a_line() -> None:
    """Real at 0, 1, 2, 3 and k = 1: balls of radius 1. One fake at .5 is in those of 0 and 1; one at 9 in none."""
    real = np.arange(4.0)[:, None]
    assert density_coverage([[0.5], [9.0]], real, k=1) == (1.0, 0.5)
    assert density_coverage(real, real, k=1) == ((2 + 3 + 3 + 2) / 4, 1.0)
    with pytest.raises(ValueError, match="k = 4 neighbours of sets of 4 and 4"):
        density_coverage(real, real, k=4)


def test_coverage_of_equal_distributions() -> None:
    """Naeem et al. 2020, equation 9: 1 - 2^-k in expectation, .969 for k = 5; and density is 1."""
    rng = np.random.default_rng(0)
    found = np.mean([density_coverage(*rng.standard_normal((2, 300, 4)), k=5) for _ in range(5)], 0)
    assert found == pytest.approx([1.0, 1 - 2**-5], abs=0.04)


def test_spread_is_a_ratio_of_standard_deviations() -> None:
    real = np.array([[0.0, 0], [2, 0], [0, 4], [2, 4]])
    assert spread(real / 4 + 100, real) == pytest.approx(0.25)
    assert spread(np.ones((3, 2)), real) == 0
    assert (spread(real, np.ones((3, 2))), spread(np.ones((3, 2)), np.ones((3, 2)))) == (np.inf, 0)
