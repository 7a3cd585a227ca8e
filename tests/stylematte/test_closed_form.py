"""The closed-form matte of pictures whose matte is known, and that nothing around it changes."""

import pytest
import torch
from torch import Tensor

from stylematte.errors import DataError
from stylematte.ops.closed_form import EPSILONS, closed_form_alpha
from stylematte.ops.foreground import estimate_foreground
from stylematte.rgba import composite

RED, BLUE = (torch.tensor(colour)[:, None, None] for colour in ([0.9, 0.1, 0.1], [0.1, 0.2, 0.8]))


def ramp(side: int = 48) -> Tensor:
    """Alpha 0 on the left third, 1 on the right third, a straight ramp between."""
    return ((torch.arange(side) / side - 1 / 3) * 3).clamp(0, 1).expand(1, side, side).contiguous()


def trimap_of(alpha: Tensor) -> Tensor:
    return torch.where(alpha == 0, 0.0, torch.where(alpha == 1, 1.0, 0.5))


def two_colours(alpha: Tensor) -> Tensor:
    return composite(RED.expand(3, *alpha.shape[1:]), alpha, BLUE.expand(3, *alpha.shape[1:]))


def test_two_flat_colours_give_their_mixture():
    """Both colours constant: alpha is linear in the picture, the very assumption, and a' L a = 0 at the truth."""
    alpha = ramp()
    assert (closed_form_alpha(two_colours(alpha), trimap_of(alpha)) - alpha).abs().max() < 1e-3


@pytest.mark.parametrize("front_and_back", [(RED, BLUE), (torch.full((3, 1, 1), 0.9), torch.full((3, 1, 1), 0.1))])
def test_even_noise_is_recovered_from_two_flat_colours(front_and_back):
    """Grey on grey as well: at epsilon 1e-7 it came out wrong by 0.1, for want of digits."""
    front, back = (colour.expand(3, 40, 40) for colour in front_and_back)
    alpha = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0))
    alpha[:, :8], alpha[:, -8:] = 0, 1
    assert (closed_form_alpha(composite(front, alpha, back), trimap_of(alpha)) - alpha).abs().max() < 1e-3


def test_a_picture_without_colour_differences_is_filled_smoothly():
    """Nothing to see: alpha rises from the known row at the top to the one at the bottom, and 1/2 is in the middle."""
    trimap = torch.full((1, 33, 20), 0.5)
    trimap[:, 0], trimap[:, -1] = 0, 1
    alpha = closed_form_alpha(torch.full((3, 33, 20), 0.4), trimap)
    assert (alpha.diff(dim=1) > 0).all()
    assert (alpha[:, 16] - 0.5).abs().max() < 1e-3


def test_known_pixels_keep_their_value_exactly():
    image = torch.rand(3, 24, 31, generator=torch.Generator().manual_seed(1))
    trimap = trimap_of(ramp(31)[:, :24])
    alpha = closed_form_alpha(image, trimap)
    known = trimap != 0.5
    assert torch.equal(alpha[known], trimap[known])
    assert alpha.shape == trimap.shape
    assert alpha.dtype == torch.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_without_unknown_pixels_the_trimap_is_the_matte():
    trimap = (ramp() > 0.5).float()
    assert torch.equal(closed_form_alpha(torch.rand(3, 48, 48), trimap), trimap)


@pytest.mark.parametrize(("value", "says"), [(0.0, "no known foreground"), (1.0, "no known background")])
def test_one_side_alone_is_refused(value: float, says: str):
    trimap = torch.full((1, 8, 8), 0.5)
    trimap[:, 0] = value
    with pytest.raises(DataError, match=says):
        closed_form_alpha(torch.rand(3, 8, 8), trimap)


def test_no_convergence_is_one_line():
    alpha = ramp()
    with pytest.raises(DataError, match=r"^closed-form matting did not converge in 1 steps: make the unknown band nar"):
        closed_form_alpha(torch.rand(3, 48, 48), trimap_of(alpha), max_steps=1)


def test_a_stronger_regularisation_is_tried_before_giving_up(monkeypatch: pytest.MonkeyPatch):
    from stylematte.ops import closed_form

    asked = []

    def stubborn(image, trimap, laplacian_kwargs, cg_kwargs):
        asked.append(laplacian_kwargs["epsilon"])
        if len(asked) < 2:
            raise ValueError("Conjugate gradient descent did not converge")
        return trimap * 0 + 0.25

    monkeypatch.setattr(closed_form, "method", lambda name: stubborn)
    trimap = trimap_of(ramp())
    alpha = closed_form_alpha(torch.rand(3, 48, 48), trimap)
    assert asked == [*EPSILONS[:2]]
    assert (alpha[trimap == 0.5] == 0.25).all()


@pytest.mark.usefixtures("unchecked")
def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"expected image \(3, H, W\) and trimap \(1, H, W\), got \(3, 4, 4\)"):
        closed_form_alpha(torch.zeros(3, 4, 4), torch.zeros(1, 4, 5))


def test_the_number_of_threads_stays():
    """Loading numba sets it for the process; sums of a resumed run would then differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        alpha = ramp(24)
        closed_form_alpha(two_colours(alpha), trimap_of(alpha))
        estimate_foreground(two_colours(alpha), alpha)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
