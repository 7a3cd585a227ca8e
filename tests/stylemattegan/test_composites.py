"""Cut-outs over backgrounds: the compositing equation, what is out of range, and no colour of the old background."""

import pytest
import torch

from stylematte.imagefile import write_rgb
from stylematte.ops.foreground import estimate_foreground
from stylematte.rgba import composite, premultiply_about_grey, unpremultiply_about_grey
from stylematte.sampling import generator_at
from stylemattegan.framing import frame_cutout
from stylemattegan.training.composites import Backgrounds, bounded_alpha, composite_encoded, mean_colour

SIZE = 32


def drawn(*shape, at="x", dtype=torch.float32):
    return torch.rand(*shape, generator=generator_at("composites", at), dtype=dtype)


def test_one_pixel_by_hand():
    """F = 0.75, a = 0.5, B = 0.25: the picture is 0.5 * 0.75 + 0.5 * 0.25 = 0.5, which is 0 in [-1, 1]."""
    encoded = torch.tensor([0.25, 0.25, 0.25, 0.0]).view(1, 4, 1, 1)
    assert composite_encoded(encoded, torch.full((1, 3, 1, 1), -0.5)).tolist() == [[[[0.0]]] * 3]


def test_equals_the_compositing_equation_on_straight_colour():
    rgba, background = drawn(2, 4, SIZE, SIZE), drawn(2, 3, SIZE, SIZE, at="b")
    rgba[:, 3, :8], rgba[:, 3, 8:16] = 0, 1
    straight = composite(rgba[:, :3], rgba[:, 3:], background)
    encoded = composite_encoded(premultiply_about_grey(rgba), background * 2 - 1)
    torch.testing.assert_close((encoded + 1) / 2, straight, atol=1e-6, rtol=0)


def test_what_is_out_of_range_is_shown_as_it_would_be_written():
    raw, background = drawn(2, 4, SIZE, SIZE) * 4 - 2, drawn(2, 3, SIZE, SIZE, at="b")
    rgba = unpremultiply_about_grey(raw, floor=1e-6)
    shown = composite_encoded(raw, background * 2 - 1)
    torch.testing.assert_close((shown + 1) / 2, composite(rgba[:, :3], rgba[:, 3:], background), atol=1e-5, rtol=0)
    assert shown.abs().max() <= 1


def test_differentiable_in_colour_and_alpha():
    rgba = drawn(1, 4, 3, 3, dtype=torch.float64) * 0.8 + 0.1
    encoded = premultiply_about_grey(rgba).requires_grad_()
    background = drawn(1, 3, 3, 3, at="b", dtype=torch.float64) * 2 - 1
    assert torch.autograd.gradcheck(lambda e: composite_encoded(e, background), encoded)
    composite_encoded(encoded, background).sum().backward()
    torch.testing.assert_close(encoded.grad[:, :3], torch.ones_like(background))
    torch.testing.assert_close(encoded.grad[:, 3:], -background.sum(1, keepdim=True) / 2)


@pytest.mark.parametrize(("alpha", "wish", "passes"), [(1.4, "less", 1), (1.4, "more", 0), (-1.2, "more", 1)])
def test_an_alpha_out_of_range_hears_what_draws_it_back(alpha, wish, passes):
    encoded = torch.zeros(1, 4, 2, 2)
    encoded[:, 3] = alpha
    encoded.requires_grad_()
    total = bounded_alpha(encoded).sum()
    (total if wish == "less" else -total).backward()
    assert float(encoded.grad.abs().sum()) == passes * 4 * 0.5


def test_a_colour_beyond_its_alpha_hears_what_draws_it_back():
    """Colour 0.9 under alpha 0.5 shows as 0.5: darker can be had by less of either, brighter by more alpha alone."""
    for sign, colour_moves in ((1, True), (-1, False)):
        encoded = torch.tensor([0.9, 0.9, 0.9, 0.0]).view(1, 4, 1, 1).requires_grad_()
        (sign * composite_encoded(encoded, torch.zeros(1, 3, 1, 1)).sum()).backward()
        assert encoded.grad[0, :3].flatten().tolist() == [float(colour_moves)] * 3
        assert float(encoded.grad[0, 3]) == sign * 3 * 0.5


def photo_on(old, alpha):
    """A red and yellow subject with a wide soft edge, photographed before `old`."""
    subject = torch.tensor([0.85, 0.2, 0.15])[:, None, None].repeat(1, SIZE, SIZE)
    subject[1] += torch.linspace(0, 0.5, SIZE)
    return composite(subject, alpha, torch.tensor(old)[:, None, None].expand(3, SIZE, SIZE))


def test_nothing_of_the_old_background_is_left():
    """One subject photographed before green and before blue. With the estimated foreground its composites over one
    new background are alike to a grey level or so; with the photo's own colour they differ by half of the range."""
    across = torch.linspace(-1, 1, SIZE)
    alpha = (1.6 - 2 * (across[:, None] ** 2 + across**2).sqrt()).clamp(0, 1)[None]
    new = drawn(1, 3, SIZE, SIZE, at="new") * 2 - 1

    def seen(photo, colour):
        rgba = frame_cutout(torch.cat([colour, alpha]), SIZE)
        return composite_encoded(premultiply_about_grey(rgba)[None], new)

    shown, leaking = [], []
    for old in ((0.05, 0.9, 0.1), (0.1, 0.1, 0.95)):
        photo = photo_on(old, alpha)
        shown.append(seen(photo, estimate_foreground(photo, alpha)))
        leaking.append(seen(photo, photo))
    rim = (frame_cutout(torch.cat([photo, alpha]), SIZE)[3] < 0.9).expand(1, 3, -1, -1)
    assert (leaking[0] - leaking[1]).abs()[rim].max() > 0.3
    assert (shown[0] - shown[1]).abs().max() < 0.1
    assert (shown[0] - shown[1]).abs().mean() < 0.05 * (leaking[0] - leaking[1]).abs().mean()


def test_where_alpha_is_0_the_colour_under_it_is_never_seen():
    encoded = torch.cat([torch.full((1, 3, 4, 4), 0.9), torch.full((1, 1, 4, 4), -1.0)], 1)
    background = drawn(1, 3, 4, 4) * 2 - 1
    assert torch.equal(composite_encoded(encoded, background), background)


def test_mean_colour_counts_what_is_visible():
    rgba = torch.zeros(1, 4, 2, 2)
    rgba[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0, 1.0])
    rgba[0, :, 0, 1] = torch.tensor([0.0, 0.5, 0.0, 0.5])
    mean = mean_colour(premultiply_about_grey(rgba)).flatten()
    torch.testing.assert_close((mean + 1) / 2, torch.tensor([1 / 1.5, 0.5, 0.0]))


def backgrounds(folder, count=5, **shares):
    files = [folder / f"{i}.png" for i in range(count)]
    for i, file in enumerate(files):
        write_rgb(file, torch.full((3, SIZE, SIZE), i / 10))
    return Backgrounds(files, SIZE, **shares)


def test_backgrounds_are_a_function_of_the_position(tmp_path):
    pool, cutouts = backgrounds(tmp_path), premultiply_about_grey(drawn(64, 4, SIZE, SIZE))
    one = pool.behind(cutouts, 64, 0, "real", 3)
    assert torch.equal(one, Backgrounds(pool.files, SIZE, cache_bytes=0).behind(cutouts, 64, 0, "real", 3))
    assert not torch.equal(one, pool.behind(cutouts, 64, 0, "real", 4))
    assert not torch.equal(one, pool.behind(cutouts, 64, 0, "fake", 3))
    levels = ((one[:, 0, 0, 0] + 1) / 2 * 10).round().int().tolist()
    assert set(levels) == set(range(5))


def test_shares_over_a_plain_colour_and_over_the_own_one(tmp_path):
    cutouts = premultiply_about_grey(drawn(400, 4, SIZE, SIZE))
    pool = backgrounds(tmp_path, plain=0.25, foreground=0.25)
    behind = pool.behind(cutouts, 400, 0, "real", 0)[:, :, 0, 0]
    own = (behind - mean_colour(cutouts)[:, :, 0, 0]).abs().amax(1) < 1e-5
    grey = (behind - behind[:, :1]).abs().amax(1) < 1e-6
    assert float(own.float().mean()) == pytest.approx(0.25, abs=0.06)
    assert float(grey.float().mean()) == pytest.approx(0.5, abs=0.07)


def test_bad_pools_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no background for the composite discriminator"):
        Backgrounds([], SIZE)
    with pytest.raises(ValueError, match=r"gone.png: no such file"):
        Backgrounds([tmp_path / "gone.png"], SIZE).behind(torch.zeros(1, 4, SIZE, SIZE), 1, 0)


def test_a_background_of_another_shape_shows_its_middle_square(tmp_path):
    wide = torch.zeros(3, SIZE // 2, SIZE)
    wide[:, :, SIZE // 4 : -SIZE // 4] = 1
    write_rgb(tmp_path / "wide.ppm", wide)
    seen = Backgrounds([tmp_path / "wide.ppm"], SIZE).behind(torch.zeros(1, 4, SIZE, SIZE), 1, 0)
    assert torch.equal(seen, torch.ones(1, 3, SIZE, SIZE))
