"""The guided filter against per-pixel loops, and the properties that give it its name."""

import numpy as np
import pytest
import torch

from stylematte.ops.guided_filter import box_mean, fast_guided_filter, guided_filter


def window(array, y, x, r):
    return array[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1]


def loop_guided_filter(guide, source, r, eps):
    """He et al. 2013, equations 5, 6 and 8, one window after the other."""
    h, w = guide.shape
    slope, offset = np.zeros((h, w)), np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            i, p = window(guide, y, x, r), window(source, y, x, r)
            slope[y, x] = ((i * p).mean() - i.mean() * p.mean()) / (i.var() + eps)
            offset[y, x] = p.mean() - slope[y, x] * i.mean()
    out = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            out[y, x] = window(slope, y, x, r).mean() * guide[y, x] + window(offset, y, x, r).mean()
    return out


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_equals_the_loop(radius):
    rng = np.random.default_rng(radius)
    guide, source = rng.random((7, 6)), rng.normal(size=(7, 6))
    expected = loop_guided_filter(guide, source, radius, 1e-2)
    got = guided_filter(torch.tensor(guide)[None, None], torch.tensor(source)[None, None], radius, 1e-2)
    np.testing.assert_allclose(got[0, 0].numpy(), expected, atol=1e-12)


def test_fast_filter_at_scale_one_is_the_filter():
    guide, source = torch.rand(2, 1, 8, 10), torch.randn(2, 3, 8, 10)
    torch.testing.assert_close(fast_guided_filter(guide, source, 1, 1e-4), guided_filter(guide, source, 1, 1e-4))


def test_box_mean_counts_only_pixels_in_the_picture():
    assert box_mean(torch.ones(1, 1, 4, 5), 2).eq(1).all()
    ramp = torch.arange(4.0).view(1, 1, 1, 4)
    assert box_mean(ramp, 1).flatten().tolist() == [0.5, 1.0, 2.0, 2.5]


def test_constant_stays_constant():
    out = fast_guided_filter(torch.rand(1, 1, 16, 24), torch.full((1, 1, 4, 6), 2.5), 1, 1e-4)
    torch.testing.assert_close(out, torch.full((1, 1, 16, 24), 2.5), atol=1e-4, rtol=0)


def test_a_source_linear_in_the_guide_comes_back_at_full_resolution():
    """source = 3 I - 1 at a quarter of the resolution gives 3 I - 1 for every full-resolution pixel of the guide."""
    guide = torch.rand(1, 1, 32, 40, dtype=torch.float64)
    low = torch.nn.functional.avg_pool2d(guide, 4)
    out = fast_guided_filter(guide, 3 * low - 1, 1, 1e-12)
    torch.testing.assert_close(out, 3 * guide - 1, atol=1e-6, rtol=0)


def test_low_resolution_samples_sit_at_cell_centres():
    """With a flat guide only the offset is left: cell i sits at pixel 4 i + 1.5, so a ramp i becomes (x - 1.5) / 4."""
    ramp = torch.arange(6.0).view(1, 1, 1, 6).expand(1, 1, 4, 6)
    out = fast_guided_filter(torch.full((1, 1, 16, 24), 0.5), ramp, 0, 1e-4)
    expected = (torch.arange(2.0, 22.0) - 1.5) / 4
    torch.testing.assert_close(out[0, 0, 5, 2:22], expected, atol=1e-5, rtol=0)


def test_an_edge_of_the_guide_becomes_the_edge_of_the_map():
    """A step blurred over two coarse cells turns into a step at the guide's edge, 2 pixels off every coarse border."""
    guide = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    guide[..., 18:] = 1
    low = torch.nn.functional.avg_pool2d(guide, 4) * 10 - 5
    out = fast_guided_filter(guide, low, 1, 1e-4)[0, 0, 16]
    assert out[17] < -4.5
    assert out[18] > 4.5
    bilinear = torch.nn.functional.interpolate(low, scale_factor=4, mode="bilinear")[0, 0, 16]
    assert bilinear[17] > -2


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no whole multiple"):
        fast_guided_filter(torch.rand(1, 1, 15, 16), torch.rand(1, 1, 4, 4), 1, 1e-4)
    with pytest.raises(ValueError, match="differ in size"):
        guided_filter(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 4, 4), 1, 1e-4)


def test_gradients():
    guide = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    source = torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: fast_guided_filter(guide, s, 1, 1e-2), source)
