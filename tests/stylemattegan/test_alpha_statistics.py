"""Statistics of alphas against shapes whose numbers are known."""

import pytest
import torch

from stylemattegan.metrics.alpha_statistics import alpha_statistics


@pytest.mark.parametrize("width", [2.0, 6.0])
def test_alpha_of_a_disc_with_a_straight_ramp(width):
    """Radius 40 in 128 x 128: its area, and a transition as wide as the ramp (of which .02 at either end is not)."""
    y, x = torch.meshgrid(torch.arange(128) - 63.5, torch.arange(128) - 63.5, indexing="ij")
    alpha = ((40 - torch.hypot(x, y)) / width + 0.5).clamp(0, 1)
    found = alpha_statistics(torch.stack([alpha] * 4)[None])
    area = torch.pi * 40**2 / 128**2
    assert found["alpha"] == pytest.approx(area, rel=0.01)
    assert found["width"] == pytest.approx(0.96 * width, rel=0.1)
    assert found["zero"] + found["one"] + found["between"] == pytest.approx(1)
    assert found["zero"] == pytest.approx(1 - torch.pi * (40 + width / 2) ** 2 / 128**2, abs=0.01)


def test_alpha_of_nothing_has_no_transition():
    found = alpha_statistics(torch.zeros(2, 4, 8, 8))
    assert (found["zero"], found["width"], found["alpha_sd"]) == (1.0, 0.0, 0.0)
