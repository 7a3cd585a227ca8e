"""The estimated foreground colour against a picture whose foreground is known."""

import numpy as np
import pytest
import torch

from stylematte.data.augment import solve_background
from stylematte.ops.foreground import estimate_foreground, estimate_foreground_reduced
from stylematte.rgba import composite


def ramp_matte(side: int) -> torch.Tensor:
    """Alpha 0 on the left third, 1 on the right third, a straight ramp between."""
    return ((torch.arange(side) / side - 1 / 3) * 3).clamp(0, 1).expand(1, side, side).contiguous()


def test_a_red_subject_on_blue_is_red_everywhere():
    red, blue = torch.tensor([0.9, 0.1, 0.1])[:, None, None], torch.tensor([0.1, 0.2, 0.8])[:, None, None]
    alpha = ramp_matte(48)
    image = composite(red.expand(3, 48, 48), alpha, blue.expand(3, 48, 48))
    foreground = estimate_foreground(image, alpha)
    assert foreground.shape == (3, 48, 48)
    assert foreground.dtype == torch.float32
    seen = (alpha > 0.1).expand(3, -1, -1)
    assert (foreground - red).abs()[seen].max() < 0.06  # the image itself is off by up to 0.8 x 0.9 there
    assert (foreground - image).abs()[(alpha == 1).expand(3, -1, -1)].max() < 0.01


@pytest.mark.usefixtures("unchecked")
def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"expected image \(3, H, W\) and alpha \(1, H, W\), got \(3, 4, 4\)"):
        estimate_foreground(torch.zeros(3, 4, 4), torch.zeros(1, 4, 5))


def test_solved_background_fulfils_the_equation_for_any_guess_of_the_foreground():
    rng = np.random.default_rng(0)
    image, guess = rng.random((2, 32, 32, 3))
    alpha = rng.random((32, 32, 1)).clip(0.001, 0.98)
    front, back = solve_background(image, guess, alpha)
    assert min(front.min(), back.min()) >= 0
    assert max(front.max(), back.max()) <= 1
    assert np.abs(alpha * front + (1 - alpha) * back - image).max() < 1e-3
    sure = np.concatenate([np.zeros((32, 16, 1)), np.ones((32, 16, 1))], axis=1)
    front, back = solve_background(image, guess, sure)
    assert np.allclose(back[:, :16], image[:, :16])
    assert np.allclose(front[:, 16:], image[:, 16:])


def test_reduced_and_restored_is_near_the_exact_one():
    """A textured red subject on blue: the image where alpha is 1, and within 0.05 of the solution at full size."""
    noise = 0.1 * torch.rand(3, 300, 300, generator=torch.Generator().manual_seed(0))
    red, blue = torch.tensor([0.8, 0.1, 0.1])[:, None, None], torch.tensor([0.1, 0.2, 0.8])[:, None, None]
    alpha = ramp_matte(300)
    image = composite(red + noise, alpha, blue.expand(3, 300, 300))
    exact, reduced = estimate_foreground(image, alpha), estimate_foreground_reduced(image, alpha, 96)
    solid = (alpha == 1).expand(3, -1, -1)
    assert (reduced - image).abs()[solid].max() < 1e-6
    assert (reduced - exact).abs()[(alpha > 0.1).expand(3, -1, -1)].mean() < 0.05
    assert estimate_foreground_reduced(image, alpha, 300).equal(exact)
