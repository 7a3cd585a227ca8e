"""The alpha losses against per-pixel loops and closed forms."""

import numpy as np
import pytest
import torch

from stylematte.losses.alpha import composition, gradient, l1, laplacian, laplacian_pyramid, pyramid_up

KERNEL = np.array([1, 4, 6, 4, 1]) / 16


def reflect(i, n):
    """Index i mirrored into 0 .. n-1 about the outermost pixels."""
    return -i if i < 0 else 2 * (n - 1) - i if i >= n else i


def loop_blur(a, gain=1.0):
    h, w = a.shape
    out = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            for j in range(5):
                for i in range(5):
                    value = a[reflect(y + j - 2, h), reflect(x + i - 2, w)]
                    out[y, x] += gain * KERNEL[j] * KERNEL[i] * value
    return out


def loop_laplacian(p, a, levels):
    """Pyramids of both pictures, level by level, then the weighted mean of absolute differences."""
    total, count = 0.0, 0
    for level in range(levels):
        if min(p.shape) < 3:
            break
        bands, coarse = [], []
        for picture in (p, a):
            small = loop_blur(picture)[::2, ::2]
            sparse = np.zeros((2 * small.shape[0], 2 * small.shape[1]))
            sparse[::2, ::2] = small
            bands.append(picture - loop_blur(sparse, gain=4.0)[: picture.shape[0], : picture.shape[1]])
            coarse.append(small)
        total, count = total + 2**level * np.abs(bands[0] - bands[1]).mean(), count + 1
        p, a = coarse
    return total / count


def as_batch(*arrays):
    return torch.tensor(np.stack(arrays))[:, None]


@pytest.mark.parametrize("size", [(12, 9), (5, 7)])
def test_laplacian_equals_the_loop(size):
    rng = np.random.default_rng(0)
    p, a = rng.random((2, *size)), rng.random((2, *size))
    expected = [loop_laplacian(p[i], a[i], 5) for i in range(2)]
    np.testing.assert_allclose(laplacian(as_batch(*p), as_batch(*a)).numpy(), expected, atol=1e-12)


def test_laplacian_of_a_constant_shift_is_zero():
    """Every band removes the mean, at the borders too: this is why the loss is used beside l1."""
    a = torch.rand(1, 1, 37, 64, dtype=torch.float64)
    assert laplacian(a + 0.25, a).item() < 1e-12
    flat = torch.ones(1, 1, 5, 6)
    torch.testing.assert_close(pyramid_up(flat, (9, 12)), torch.ones(1, 1, 9, 12))


def test_laplacian_levels_shrink_with_the_picture():
    assert [tuple(b.shape[-2:]) for b in laplacian_pyramid(torch.zeros(1, 1, 64, 64))] == [
        (64 >> i,) * 2 for i in range(5)
    ]
    assert len(laplacian_pyramid(torch.zeros(1, 1, 9, 64))) == 3  # 9, 5, 3 rows, then 2
    assert laplacian(torch.ones(2, 1, 2, 9), torch.zeros(2, 1, 2, 9)).tolist() == [0, 0]


def test_gradient_closed_form():
    """An edge of height 1 missed in an 8x8 picture: 8 of 8 * 7 horizontal differences are 1, none of the vertical."""
    truth = torch.zeros(1, 1, 8, 8)
    truth[..., 4:] = 1
    torch.testing.assert_close(gradient(torch.zeros_like(truth), truth), torch.tensor([1 / 7]))
    assert gradient(truth + 0.3, truth).item() < 1e-6


def test_gradient_equals_the_loop():
    rng = np.random.default_rng(1)
    p, a = rng.random((5, 4)), rng.random((5, 4))
    d = p - a
    horizontal = np.mean([abs(d[y, x + 1] - d[y, x]) for y in range(5) for x in range(3)])
    vertical = np.mean([abs(d[y + 1, x] - d[y, x]) for y in range(4) for x in range(4)])
    np.testing.assert_allclose(gradient(as_batch(p), as_batch(a)).item(), horizontal + vertical, atol=1e-12)


def test_l1_is_per_sample():
    prediction = torch.stack([torch.full((1, 4, 4), 0.25), torch.full((1, 4, 4), 1.0)])
    torch.testing.assert_close(l1(prediction, torch.zeros(2, 1, 4, 4)), torch.tensor([0.25, 1.0]))


def test_composition_closed_form():
    """|p F + (1-p) B - I| = |p - a| |F - B|: an error of 0.5 between white and grey (0.2) costs 0.5 * 0.8."""
    foreground, background = torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)
    alpha = torch.full((1, 1, 4, 4), 0.5)
    image = alpha * foreground + (1 - alpha) * background
    torch.testing.assert_close(composition(alpha + 0.5, foreground, background, image), torch.tensor([0.4]))
    assert composition(alpha, foreground, background, image).item() < 1e-7
    assert composition(alpha + 0.5, foreground, foreground, foreground).item() < 1e-7  # same colour: nothing to see


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("loss", [l1, laplacian, gradient])
def test_zero_at_the_truth_and_shapes_are_checked(loss):
    truth = torch.rand(3, 1, 16, 16)
    assert loss(truth, truth).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="resize one"):
        loss(truth, truth[..., :8])


@pytest.mark.parametrize("loss", [laplacian, gradient])
def test_gradcheck(loss):
    torch.manual_seed(0)
    prediction = torch.rand(2, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    truth = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: loss(p, truth), prediction)
