"""Properties of the distance consistency: gradients, bands, precision, constants, invariances, refusals."""

from dataclasses import replace

import pytest
import torch

from stylematte.losses.ddc import PAPER, Sweep, ddc, ddc_maps, excess, floor, known_region
from stylematte.ops.neighbours import BORDERS

VARIANTS = ("ddc", "scaled", "hinge")


def picture(n=1, height=9, width=13, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    image, alpha = (torch.rand(n, c, height, width, generator=generator, dtype=torch.float64) for c in (3, 1))
    trimap = torch.randint(0, 3, (n, 1, height, width), generator=generator) / 2
    return image.to(dtype), alpha.to(dtype), trimap.to(dtype)


def measured(**changes):
    return replace(PAPER, **changes)


# -- gradients, bands, precision --------------------------------------------------------------------------------------


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients(variant, border):
    image, alpha, trimap = picture(2, 5, 6)  # random float64: no ties, and no term at its kink
    config = measured(variant=variant, border=border, window=5, neighbours=4, region="unknown")
    assert torch.autograd.gradcheck(lambda a: ddc(image, a, trimap, config), alpha.requires_grad_())


@pytest.mark.parametrize("options", [{}, {"border": "replicate"}, {"border": "exclude", "include_self": False}])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rows", [0, 1, 5, 100])
def test_bands_change_nothing(rows, variant, options):
    image, alpha, trimap = picture(2, 17, 23, dtype=torch.float32)
    values, gradients = [], []
    for sweep in (Sweep(band_rows=rows), Sweep(reference=True)):
        leaf = alpha.clone().requires_grad_()
        value = ddc(image, leaf, trimap, measured(variant=variant, region="unknown", **options), sweep)
        (value * torch.tensor([1.0, -3.0])).sum().backward()
        values.append(value.detach())
        gradients.append(leaf.grad)
    torch.testing.assert_close(*values, atol=1e-6, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=0)


def test_what_waits_for_the_backward_pass_is_one_number_per_pixel():
    image, alpha, _ = picture(1, 40, 40, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        ddc(image, alpha.requires_grad_()).sum().backward()
    assert sum(kept) <= 2 * alpha.numel()


def test_half_precision_is_computed_in_float32():
    image, alpha, _ = picture(dtype=torch.float32)
    exact = ddc(image.bfloat16().float(), alpha.bfloat16().float())
    leaf = alpha.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = ddc(image.bfloat16(), leaf)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, exact)
    assert leaf.grad.dtype == torch.bfloat16
    assert leaf.grad.abs().sum() > 0


def test_pictures_get_no_gradient_and_nothing_is_changed():
    image, alpha, trimap = picture()
    before = [part.clone() for part in (image, alpha, trimap)]
    value = ddc(image.requires_grad_(), alpha, trimap)
    assert not value.requires_grad
    assert all(torch.equal(*pair) for pair in zip(before, (image, alpha, trimap), strict=True))


# -- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_constant_matte_has_no_excess(variant, border, constant):
    """With border zero only where no black of the frame is chosen: on a bright picture, or by the matte 0."""
    image, _, trimap = picture(2)
    image = 0.9 + 0.1 * image
    flat = torch.full_like(trimap, constant)
    for region in ("all", "unknown"):
        config = measured(variant=variant, border=border, neighbours=6, window=5, region=region)
        over = excess(image, flat, trimap, config)
        torch.testing.assert_close(over, torch.zeros_like(over), atol=1e-12, rtol=0)
        lowest = floor(image, trimap, config)
        torch.testing.assert_close(ddc(image, flat, trimap, config), lowest)
        assert (lowest == 0).all() if variant == "hinge" else (lowest > 0).all()


def test_black_of_the_frame_counts_with_border_zero():
    """On a black picture the frame is as near as anything: the matte 1 pays for it, the matte 0 does not."""
    image, ones = torch.zeros(1, 3, 7, 7), torch.ones(1, 1, 7, 7)
    assert excess(image, ones, sweep=Sweep(stable_ties=True)) > 0.01
    assert excess(image, torch.zeros_like(ones)) == 0
    assert excess(image, ones, config=measured(border="exclude")) == 0


def test_a_step_by_hand():
    """Three black columns, three white, alpha with them: no cost. Alpha 1 in the black corner pixel: its k = 4 nearest
    are itself and the three around it, so it pays 3/4, and each of these three, having it among its nearest, 1/4."""
    image = torch.zeros(1, 3, 6, 6)
    image[..., 3:] = 1
    alpha = image[:, :1].clone()
    config = measured(window=3, neighbours=4, border="exclude")
    assert ddc(image, alpha, config=config) == 0
    alpha[..., 0, 0] = 1
    cost, flat = ddc_maps(image, alpha, config=config)
    assert (flat == 0).all()
    heat = cost[0, 0]
    assert heat[0, 0] == 0.75
    # Ties decide who counts the corner among its nearest: of its neighbours' black candidates (6, 6 and 9) four stay.
    assert set(heat.flatten().tolist()) <= {0, 0.25, 0.75}
    assert heat.count_nonzero() <= 4
    assert (heat[:, 2:] == 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_mirrors_and_added_alpha_change_nothing(variant):
    """Flipped and transposed tensors are also how tensors with other strides come."""
    image, alpha, _ = picture(2, 12, 10)
    config = measured(variant=variant, border="exclude", neighbours=7)
    value = ddc(image, alpha, config=config)
    torch.testing.assert_close(ddc(image.flip(-1), alpha.flip(-1), config=config), value)
    torch.testing.assert_close(ddc(image.transpose(2, 3), alpha.transpose(2, 3), config=config), value)
    torch.testing.assert_close(ddc(image, alpha + 0.25, config=config), value)
    turned = ddc(image[:, [1, 2, 0]], alpha, config=config)  # other primaries: the distances stay, the luma does not
    assert torch.isclose(turned, value, atol=1e-12).tolist() == [variant == "ddc"] * 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_of_tensors_with_other_strides(variant):
    image, alpha, _ = picture(2, 12, 10)
    gradients = []
    for turn in (lambda t: t, lambda t: t.transpose(2, 3)):
        leaf = alpha.clone().requires_grad_()
        ddc(
            turn(image).contiguous(memory_format=torch.channels_last), turn(leaf), config=measured(variant=variant)
        ).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_hinge_has_no_direction_and_the_others_have():
    image, alpha, _ = picture(1, 12, 10)
    for variant in VARIANTS:
        one, other = (
            ddc(image, matte, config=measured(variant=variant, border="exclude")) for matte in (alpha, 1 - alpha)
        )
        assert torch.isclose(one, other, atol=1e-12).item() == (variant == "hinge")


@pytest.mark.parametrize("variant", ["scaled", "hinge"])
def test_scaled_and_hinge_scale_with_the_contrast_of_the_picture(variant):
    """s and d both shrink with the contrast, so the value does; the paper's does not (alpha is not scaled)."""
    image, alpha, _ = picture(1, 12, 10)
    config = measured(variant=variant, border="exclude")
    torch.testing.assert_close(ddc(image / 4 + 0.3, alpha, config=config), ddc(image, alpha, config=config) / 4)


def test_each_sample_is_measured_alone():
    image, alpha, trimap = picture(3)
    config = measured(variant="scaled", region="unknown")
    together = ddc(image, alpha, trimap, config)
    alone = [ddc(image[[n]], alpha[[n]], trimap[[n]], config) for n in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_maps_average_to_value_and_floor(variant):
    image, alpha, trimap = picture(2)
    unknown = trimap == 0.5
    config = measured(variant=variant, region="unknown")
    for values, expected in zip(
        ddc_maps(image, alpha, trimap, config),
        (ddc(image, alpha, trimap, config), floor(image, trimap, config)),
        strict=True,
    ):
        assert (values[~unknown] == 0).all()
        torch.testing.assert_close((values * unknown).flatten(1).sum(1) / unknown.flatten(1).sum(1), expected)


def test_nothing_unknown_costs_nothing_and_has_no_gradient():
    image, alpha, _ = picture(2)
    alpha.requires_grad_()
    value = ddc(image, alpha, torch.ones_like(alpha), measured(region="unknown"))
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert (alpha.grad == 0).all()


# -- the known region -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 384, 512])
def test_known_region_is_a_plain_mean_at_any_crop_size(size):
    alpha, trimap = torch.full((2, 1, size, size), 0.25), torch.full((2, 1, size, size), 0.5)
    trimap[0, :, :2] = 1  # off by 0.75
    trimap[0, :, 2:3] = 0  # off by 0.25
    assert known_region(alpha, trimap).tolist() == pytest.approx([(2 * 0.75 + 0.25) / 3, 0.0])


def test_known_region_has_gradients_on_known_pixels_only():
    _, alpha, trimap = picture(2)
    alpha.requires_grad_()
    known_region(alpha, trimap).sum().backward()
    assert torch.equal(alpha.grad != 0, trimap != 0.5)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"variant": "dcc"}, "variant is 'dcc': expected one of ddc, scaled, hinge"),
        ({"border": "wrap"}, "border is 'wrap'"),
        ({"region": "edge"}, "region is 'edge'"),
        ({"region": "unknown"}, "there is no trimap"),
        ({"window": 4}, "window is 4: expected an odd number"),
        ({"neighbours": 0}, "neighbours is 0"),
        ({"neighbours": 122}, "neighbours is 122: a 11 x 11 window offers 1 to 121"),
        ({"neighbours": 121, "include_self": False}, "1 to 120"),
        ({"neighbours": 31, "border": "exclude"}, "1 to 30 in the corner of a 13 x 5 picture"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, says):
    image, alpha, _ = picture(1, 5, 13)
    with pytest.raises(ValueError, match=says) as error:
        ddc(image, alpha, config=measured(**options))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="band_rows is -1"):
        ddc(image, alpha, sweep=Sweep(band_rows=-1))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("part", [0, 1, 2])
def test_shapes_that_do_not_fit_are_refused(part):
    parts = list(picture(2))
    parts[part] = parts[part][:, :, :-1]
    with pytest.raises(ValueError, match="expected"):
        ddc(*parts)
    if part:
        with pytest.raises(ValueError, match="expected"):
            known_region(*parts[1:])
