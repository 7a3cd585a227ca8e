"""Augmentation: parity of the paper's pipe with the fixtures, and what RGBA asks for on top of it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stylematte.rgba import premultiply_about_grey
from stylematte.sampling import generator_at
from stylemattegan import augment

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "stylegan3"
NEUTRAL = dict(flip=0, quarter=0, scale=1, turn_before=0, stretch=1, turn_after=0)
NEUTRAL |= dict(brightness=0, contrast=1, luma_flip=0, hue=0, saturation=1)
GEOMETRY = set(["xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac"])
SUPPORTED = GEOMETRY | set(["brightness", "contrast", "lumaflip", "hue", "saturation", "blit", "geom", "color", "bgc"])


def parameters(count=1, shift=(0.0, 0.0), offset=(0.0, 0.0), **changes):
    rows = {name: torch.full((count,), float(value)) for name, value in (NEUTRAL | changes).items()}
    rows["shift"], rows["offset"] = torch.tensor([shift] * count), torch.tensor([offset] * count)
    return augment.Parameters(**rows)


def at_quantile(kwargs, q, count):
    """The fixtures' stand-in for a draw: every random number replaced by its quantile."""
    normal = float(torch.erfinv(torch.tensor(2.0 * q - 1)))
    angle = (2 * q - 1) * math.pi
    shift = (2 * q - 1) * 0.125
    values = dict(
        xflip=dict(flip=math.floor(2 * q)),
        rotate90=dict(quarter=math.floor(4 * q)),
        xint=dict(shift=(shift, shift)),
        scale=dict(scale=2 ** (0.2 * normal)),
        rotate=dict(turn_before=angle),
        aniso=dict(stretch=2 ** (0.2 * normal)),
        xfrac=dict(offset=(0.125 * normal, 0.125 * normal)),
        brightness=dict(brightness=0.2 * normal),
        contrast=dict(contrast=2 ** (0.5 * normal)),
        lumaflip=dict(luma_flip=math.floor(2 * q)),
        hue=dict(hue=angle),
        saturation=dict(saturation=2**normal),
    )
    chosen = {}
    for name in kwargs:
        chosen |= values[name]
    return parameters(count, **chosen)


def fixture_cases():
    path = FIXTURES / "augment.json"
    if not path.exists():
        return []
    cases = json.loads(path.read_text())["cases"]
    return [case for case in cases if case["name"] in SUPPORTED and case["channels"] == 3]


@pytest.mark.parametrize("case", fixture_cases(), ids=lambda case: f"{case['name']}-{case['percentile']}")
def test_pipe_equals_the_reference(case):
    """The reference reflects at the border: reflecting by hand first, then cutting the centre, must give the same."""
    data = np.load(FIXTURES / "augment.npz")
    x, y, gy, g_x = (torch.from_numpy(data[f"{case['id']}/{part}"]) for part in ("x", "y", "gy", "g_x"))
    chosen = at_quantile(case["kwargs"], case["percentile"], len(x))
    h, w = x.shape[2:]
    x.requires_grad_()
    moved = augment.warp(F.pad(x, (w - 1, w - 1, h - 1, h - 1), mode="reflect"), augment.inverse_geometry(chosen, h, w))
    moved = moved[:, :, h - 1 : 2 * h - 1, w - 1 : 2 * w - 1]
    if not GEOMETRY & set(case["kwargs"]):
        moved = x
    seen = torch.cat([moved, torch.ones(len(x), 1, h, w)], dim=1)
    result = augment.apply_colour(seen, augment.colour_transform(chosen))[:, :3]
    torch.testing.assert_close(result, y, atol=4e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad((result * gy).sum(), x)[0], g_x, atol=4e-5, rtol=1e-5)


def encoded(count=4, size=16, seed=0):
    """Pictures with a transparent left half."""
    rgba = torch.rand(count, 4, size, size, generator=generator_at("test", seed))
    rgba[:, 3, :, : size // 2] = 0
    return premultiply_about_grey(rgba)


def drawn(p, count=4, seed=0):
    return augment.draw_parameters(count, p, generator_at("draw", seed))


def test_probability_zero_is_the_identity():
    x = encoded()
    assert augment.apply(x, drawn(0.0)) is x


def test_each_picture_is_treated_alone():
    """The rows of a batch equal the pictures one by one: what two processes need to equal one."""
    x, draw = encoded(8), drawn(0.3, 8)
    together = augment.apply(x, draw)
    for i in range(8):
        alone = augment.apply(x[i : i + 1], augment.Parameters(*(v[i : i + 1] for v in draw)))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


def test_share_of_changed_pictures():
    """Each transform with probability p: flips at p/2, quarter turns at 3p/4, the rotation p in two halves."""
    draw = drawn(0.4, 20000)
    for share, expected in [
        ((draw.flip == 1), 0.2),
        ((draw.quarter != 0), 0.3),
        ((draw.scale != 1), 0.4),
        ((draw.turn_before != 0) | (draw.turn_after != 0), 0.4),
        ((draw.hue != 0), 0.4),
    ]:
        assert abs(share.float().mean().item() - expected) < 0.015


def test_colour_leaves_alpha_and_transparent_grey():
    x = encoded()
    colour = parameters(4, brightness=0.3, contrast=1.7, luma_flip=1, hue=1.0, saturation=2.0)
    y = augment.apply(x, colour)
    assert torch.equal(y[:, 3], x[:, 3])
    assert torch.equal(y[:, :3, :, :8], torch.zeros(4, 3, 16, 8))
    assert (y[:, :3, :, 8:] - x[:, :3, :, 8:]).abs().mean() > 0.1


def test_brightness_is_a_shift_of_the_straight_colour():
    rgba = torch.tensor([0.2, 0.4, 0.6, 0.5]).view(1, 4, 1, 1)
    brighter = torch.tensor([0.3, 0.5, 0.7, 0.5]).view(1, 4, 1, 1)
    y = augment.apply(premultiply_about_grey(rgba), parameters(brightness=0.2))  # 0.2 of [-1, 1] is 0.1 of [0, 1]
    torch.testing.assert_close(y, premultiply_about_grey(brighter))


def test_outside_the_picture_is_transparent():
    x = torch.ones(1, 4, 16, 16)  # opaque white
    y = augment.apply(x, parameters(shift=(0.5, 0.0)))  # 8 pixels to the right
    torch.testing.assert_close(y[0, 3, :, 0:2], torch.full((16, 2), -1.0), atol=1e-3, rtol=0)
    assert y[0, :3, :, 0:2].abs().max() < 1e-3
    torch.testing.assert_close(y[0, :, :, 14:], torch.ones(4, 16, 2), atol=0.02, rtol=0)


def test_flip_and_half_turn_of_a_smooth_picture():
    x = F.interpolate(encoded(size=4), size=32, mode="bicubic")  # smooth: the low-pass does nothing inside
    for changes, expected in [(dict(flip=1), x.flip(3)), (dict(quarter=2), x.flip(2, 3))]:
        error = augment.apply(x, parameters(4, **changes)) - expected
        assert error[:, :, 4:-4, 4:-4].abs().mean() < 0.01


def test_second_derivative_through_geometry_and_colour():
    """R1 differentiates the gradient: gradcheck of the gradient, in float64."""
    draw = drawn(1.0, 2)
    x = encoded(2, 6).double().requires_grad_()
    squared = lambda x: augment.apply(x, draw).square()  # noqa: E731
    assert torch.autograd.gradcheck(squared, x)
    assert torch.autograd.gradgradcheck(squared, x)


def test_gradient_penalty_of_a_linear_critic():
    """D(x) = <w, A x> with A linear in x: the penalty is |A' w|^2 and its gradient in w is 2 A A' w."""
    draw = drawn(1.0, 1)
    x = torch.zeros(1, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    w = torch.randn(1, 4, 8, 8, dtype=torch.float64, generator=generator_at("w"), requires_grad=True)
    basis = torch.autograd.functional.jacobian(lambda x: augment.apply(x, draw).flatten(), x).flatten(1)
    (gradient,) = torch.autograd.grad((w * augment.apply(x, draw)).sum(), x, create_graph=True)
    (by_w,) = torch.autograd.grad(gradient.square().sum(), w)
    torch.testing.assert_close(gradient.flatten(), basis.t() @ w.flatten())
    torch.testing.assert_close(by_w.flatten(), 2 * basis @ basis.t() @ w.flatten())
