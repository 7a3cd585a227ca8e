"""Augmentation: parity of the paper's pipe with the fixtures, and what RGBA asks for on top of it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stylematte.rgba import premultiply_about_grey
from stylematte.sampling import generator_at
from stylemattegan.augment import pipe as augment
from stylemattegan.augment.color import apply_bands, band_filters
from stylemattegan.augment.geometry import SYM6, warp
from stylemattegan.config import AugmentSet
from tests.fixture_files import about, arrays, as_recorded

NEUTRAL = dict(flip=0, quarter=0, scale=1, turn_before=0, stretch=1, turn_after=0)
NEUTRAL |= dict(brightness=0, contrast=1, luma_flip=0, hue=0, saturation=1, noise=0, noise_seed=0, cutout=0)
GEOMETRY = ("flip", "quarter", "shift", "scale", "turn_before", "stretch", "turn_after", "offset")


def parameters(count=1, shift=(0.0, 0.0), offset=(0.0, 0.0), bands=(1.0,) * 4, cutout_centre=(0.5, 0.5), **changes):
    rows = {name: torch.full((count,), value) for name, value in (NEUTRAL | changes).items()}
    wide = dict(shift=shift, offset=offset, bands=bands, cutout_centre=cutout_centre)
    return augment.Parameters(
        **{name: value.float() for name, value in rows.items()},
        **{name: torch.tensor([value] * count) for name, value in wide.items()},
    )


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
        imgfilter=dict(bands=(2**normal,) * 4),
        cutout=dict(cutout=0.5, cutout_centre=(q, q)),
    )
    chosen = {}
    for name in kwargs:
        chosen |= values[name]
    return parameters(count, **chosen)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["64", "32"])
@pytest.mark.parametrize("case", about("stylegan3/augment")["cases"], ids=lambda case: f"{case['id']}-{case['name']}")
def test_pipe_equals_the_reference(case, dtype):
    """The reference reflects at the border: reflecting by hand first, then cutting the centre, must give the
    same. It takes one channel as grey: the mean of three equal ones.
    """
    data = arrays("stylegan3/augment")
    x, y, gy, g_x = (data[f"{case['id']}/{part}"].to(dtype) for part in ("x", "y", "gy", "g_x"))
    chosen, still = at_quantile(case["kwargs"], case["percentile"], len(x)), parameters(len(x))
    h, w = x.shape[2:]
    x.requires_grad_()
    inverse = augment.inverse_geometry(chosen, h, w)
    seen = x
    if (inverse != torch.eye(3)).any():
        seen = warp(F.pad(x, (w - 1, w - 1, h - 1, h - 1), mode="reflect"), inverse)
        seen = seen[:, :, h - 1 : 2 * h - 1, w - 1 : 2 * w - 1]
    opaque = torch.cat([seen.expand(-1, 3, -1, -1), torch.ones_like(seen[:, :1])], dim=1)
    unmoved = chosen._replace(**{name: getattr(still, name) for name in GEOMETRY})
    result = augment.apply(opaque, unmoved)
    assert torch.equal(result[:, 3:], opaque[:, 3:])
    result = result[:, :3] if case["channels"] == 3 else result[:, :3].mean(1, keepdim=True)
    (gradient,) = torch.autograd.grad((result * gy).sum(), x)
    torch.testing.assert_close(as_recorded(result, y), y, atol=2e-5, rtol=0)
    torch.testing.assert_close(as_recorded(gradient, g_x), g_x, atol=2e-5, rtol=0)


def test_filters_equal_the_reference():
    data = arrays("stylegan3/augment")
    np.testing.assert_allclose(band_filters().numpy(), data["Hz_fbank"], atol=1e-7)
    np.testing.assert_allclose(np.array(SYM6) / sum(SYM6), data["Hz_geom"], atol=1e-7)


def encoded(count=4, size=16, seed=0):
    """Pictures with a transparent left half."""
    rgba = torch.rand(count, 4, size, size, generator=generator_at("test", seed))
    rgba[:, 3, :, : size // 2] = 0
    return premultiply_about_grey(rgba)


def drawn(p, count=4, seed=0, transforms="bgcfnc"):
    return augment.draw_parameters(count, p, generator_at("draw", seed), transforms)


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


def test_filter_noise_and_cutout_leave_alpha_and_transparent_grey():
    x = encoded()
    for changes in (dict(bands=(2.0, 0.5, 3.0, 1.5)), dict(noise=0.2, noise_seed=3), dict(cutout=0.5)):
        y = augment.apply(x, parameters(4, **changes))
        assert torch.equal(y[:, 3], x[:, 3])
        assert torch.equal(y[:, :3, :, :8], torch.zeros(4, 3, 16, 8))
        assert (y[:, :3, :, 8:] - x[:, :3, :, 8:]).abs().mean() > 0.02


def test_a_flat_picture_has_only_the_coarsest_octave():
    x = torch.full((1, 4, 16, 16), 0.5)
    x[:, 3] = 1
    y = apply_bands(x, torch.tensor([[3.0, 0.1, 7.0, 0.0]]))
    torch.testing.assert_close(y[:, :3], torch.full((1, 3, 16, 16), 4.5))  # amplified along both axes: 3 x 3 x 0.5
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    x[:, :3] = checks
    y = apply_bands(x, torch.tensor([[3.0, 0.1, 7.0, 2.0]]))
    torch.testing.assert_close(y[:, :3], 4 * checks.expand(1, 3, 16, 16))  # the finest pattern: 2 x 2


def test_band_gains_keep_the_power_of_a_natural_picture():
    """One octave amplified by t: its gain is t over the root of the new power, sum of share x gain^2."""
    gains = augment.band_gains(parameters(bands=(1.0, 2.0, 1.0, 1.0)))
    root = math.sqrt(1 + 3 / 13)
    torch.testing.assert_close(gains, torch.tensor([[1 / root, 2 / root, 1 / root, 1 / root]]))


def test_noise_has_its_deviation_and_belongs_to_the_picture():
    x = torch.zeros(2, 4, 64, 64)
    x[:, 3] = 1
    draw = parameters(2, noise=0.25)._replace(noise_seed=torch.tensor([5, 6]))
    y = augment.apply(x, draw)
    assert y[:, :3].std().item() == pytest.approx(0.25, rel=0.02)
    assert not torch.equal(y[0], y[1])
    alone = augment.apply(x[1:], augment.Parameters(*(values[1:] for values in draw)))
    assert torch.equal(alone[0], y[1])


def test_cutout_is_a_square_of_half_the_side():
    x = torch.ones(1, 4, 16, 16)
    y = augment.apply(x, parameters(cutout=0.5, cutout_centre=(0.25, 0.5)))
    grey = (y[0, :3] == 0).all(0)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:12, 0:8] = True
    assert torch.equal(grey, expected)


def test_every_set_can_be_configured():
    assert set(augment.SETS) == {name.value for name in AugmentSet}


@pytest.mark.parametrize("name", augment.SETS)
def test_a_set_changes_only_what_it_names(name):
    whole, part = (augment.draw_parameters(64, 1.0, generator_at("set"), each) for each in ("bgcfnc", name))
    groups = dict(blit=("flip", "quarter", "shift"), geom=("scale", "turn_before", "stretch", "turn_after", "offset"))
    groups |= dict(color=("brightness", "contrast", "luma_flip", "hue", "saturation"))
    groups |= dict(filter=("bands",), noise=("noise",), cutout=("cutout",))
    neutral = parameters(64)
    for group, fields in groups.items():
        for field in fields:
            expected = whole if group in augment.SETS[name] else neutral
            assert torch.equal(getattr(part, field), getattr(expected, field)), field


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
    draw = drawn(1.0, 1)
    x = encoded(1, 4).double().requires_grad_()
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
