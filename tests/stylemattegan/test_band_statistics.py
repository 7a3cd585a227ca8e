"""Statistics of an alpha's band on shapes whose numbers are known, and distances of two sets of them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stylemattegan.metrics import band_distances, band_statistics


def picture(alpha: Tensor) -> Tensor:
    return alpha.expand(1, 4, *alpha.shape)


def test_a_square_with_a_hole_and_a_strand() -> None:
    """A square of 20 x 20 in 64 x 64 with a hole of 6 x 6, and a strand of 1 x 24 at its side."""
    alpha = torch.zeros(64, 64)
    alpha[20:40, 10:30] = 1
    alpha[27:33, 17:23] = 0
    alpha[30, 30:54] = 1
    found = band_statistics(picture(alpha))
    assert found["area"][0] == pytest.approx((400 - 36 + 24) / 4096)
    assert found["holes"][0] == pytest.approx(36 / (400 + 24))
    assert found["strand"][0] == pytest.approx(24 / 64)
    assert found["soft"][0] == found["width"][0] == 0


def test_a_ramp_is_as_wide_as_it_is() -> None:
    """Alpha from 0 to 1 over 10 columns: all of the ramp is soft, and it is 10 pixels wide by Crofton of one line."""
    alpha = torch.zeros(32, 32)
    alpha[:, 20:] = 1
    alpha[:, 10:20] = torch.linspace(0.05, 0.95, 10)
    found = band_statistics(picture(alpha))
    assert found["width"][0] == pytest.approx(10 * 4 / np.pi)
    assert found["soft"][0] == pytest.approx(10 / 22)
    assert found["strand"][0] == found["holes"][0] == 0


def test_of_nothing_all_is_nought() -> None:
    assert {value[0] for value in band_statistics(torch.zeros(1, 4, 16, 16)).values()} == {0.0}


def test_a_shift_by_one_standard_deviation_is_a_distance_of_one() -> None:
    real = {name: np.array([1.0, 2.0, 3.0, 4.0]) for name in ("area", "soft", "width", "strand", "holes")}
    moved = {name: values + np.std(values) for name, values in real.items()}
    assert band_distances(moved, real) == pytest.approx(dict.fromkeys(real, 1.0))
    assert band_distances(real, real) == dict.fromkeys(real, 0.0)
