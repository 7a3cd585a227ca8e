"""The fading blur against its definition."""

import pytest
import torch

from stylematte.sampling import generator_at
from stylemattegan.training.blur import blur, blur_encoded, blur_sigma


def test_sigma_falls_in_a_line():
    assert [blur_sigma(shown, 10.0, 2.0) for shown in (0, 500, 1000, 2000, 9000)] == [10.0, 7.5, 5.0, 0.0, 0.0]
    assert blur_sigma(0, 10.0, 0.0) == 0.0


def test_a_point_becomes_the_taps():
    """sigma 1.5: radius 4 and taps 2^-(k^2 / 2.25), zeros outside."""
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 4, 0] = 1
    taps = torch.tensor([2 ** -((k / 1.5) ** 2) for k in range(-4, 5)])
    taps = taps / taps.sum()
    torch.testing.assert_close(blur(x, 1.5)[0, 0], torch.outer(taps, torch.cat([taps[4:], torch.zeros(4)])))


def test_less_than_a_pixel_is_nothing():
    x = torch.rand(1, 4, 8, 8, generator=generator_at("blur"))
    assert blur(x, 0.3) is x
    assert blur_encoded(x, 0.0) is x


@pytest.mark.parametrize("size", [16, 64])
def test_outside_is_transparent(size):
    """Opaque white runs out into transparency at the border: half of it on the line, as at a real edge."""
    y = blur_encoded(torch.ones(1, 4, size, size), 2.0)
    alpha, white = (y[0, 3] + 1) / 2, y[0, 0]
    torch.testing.assert_close(alpha, white)
    assert alpha[size // 2, size // 2].item() == pytest.approx(1)
    assert 0.4 < alpha[size // 2, 0] < 0.7
