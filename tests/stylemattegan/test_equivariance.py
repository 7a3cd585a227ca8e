"""Moves of pictures and the equivariance of generators: the fixtures' values, and functions that move exactly."""

import math

import numpy as np
import pytest
import torch

from stylemattegan.metrics import equivariance, generator_equivariance, moves
from stylemattegan.networks.generator import Generator
from tests.fixture_files import about, arrays, as_recorded

OURS = {
    "apply_integer_translation": moves.move_by_whole_pixels,
    "apply_fractional_translation": moves.move,
    "apply_fractional_rotation": moves.turn,
    "apply_fractional_pseudo_rotation": moves.band_limit_as_turned,
}


@pytest.fixture(scope="module")
def fixture():
    data = arrays("stylegan3/metrics")
    return about("stylegan3/metrics"), {name: value.numpy() for name, value in data.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moves_equal_the_reference(fixture, dtype):
    expected, data = fixture
    pictures = torch.from_numpy(data["x"]).to(dtype)
    for case in expected["equivariance_ops"]:
        moved, mask = OURS[case["fn"]](pictures, *case["args"])
        assert moved.dtype == dtype
        assert np.array_equal(mask.numpy(), data[f"{case['id']}/mask"]), case
        expected_values = data[f"{case['id']}/y"]
        np.testing.assert_allclose(as_recorded(moved.numpy(), expected_values), expected_values, atol=2e-5, rtol=0)


def test_filters_equal_the_reference(fixture):
    data = fixture[1]
    matrix = moves.rotation_matrix(0.7)
    np.testing.assert_allclose(matrix, data["rotation_matrix_0.7"], atol=1e-7)
    for up in (1, 4):
        taps = moves.bandlimit_filter(matrix, up)
        np.testing.assert_allclose(taps, data[f"bandlimit_rot0.7_up{up}"], atol=2e-6)
        assert taps.sum() == pytest.approx(1)


@pytest.mark.parametrize("config", ["stylegan3-t", "stylegan3-r"])
def test_untrained_generators_move_as_the_reference_does(fixture, config):
    expected = fixture[0]["untrained_equivariance_psnr_db"][config]
    kwargs = dict(expected["init_kwargs"])
    kwargs["mapping_layers"] = kwargs.pop("mapping_kwargs")["num_layers"]
    torch.manual_seed(77)
    G = Generator(**kwargs).eval().requires_grad_(False)
    found = generator_equivariance(G, 12)
    assert torch.equal(G.synthesis.input.transform, torch.eye(3))
    for ours, theirs in (("eqt", "eqt_int"), ("eqt_frac", "eqt_frac"), ("eqr", "eqr")):
        # The latents are not theirs: from seed to seed the value of a dozen moves by some dB, and as it is ruled by the
        # worst latent, more so upwards. What is wrong (a filter, a padding, an order) costs more than 10.
        assert expected[theirs] - 4 < found[ours] < expected[theirs] + 12, (ours, found)


def waves(inverse, side=64):
    """(1, 2, side, side): a slow wave on the plane that `inverse` moves, computed in float64."""
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    x, y = (row[0] * x + row[1] * y + row[2] for row in inverse.double()[:2])
    return torch.stack([torch.sin(11 * x + 5 * y), torch.cos(7 * y)])[None] / 2


def test_a_picture_of_the_plane_moves_exactly():
    found = equivariance([waves] * 4)
    assert found["eqt"] > 140  # what float32 leaves of the transform
    assert found["eqt_frac"] > 45  # what a sinc of six taps makes of a slow wave
    assert found["eqr"] > 45


def test_whole_pixels_moved_exactly_are_infinitely_equivariant():
    picture = torch.rand(1, 3, 32, 32)

    def rolled(inverse):
        return moves.move_by_whole_pixels(picture, -float(inverse[0, 2]), -float(inverse[1, 2]))[0]

    assert equivariance([rolled] * 3)["eqt"] == math.inf


def test_a_generator_that_does_not_move_is_told_so():
    noise = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = equivariance([lambda inverse: noise] * 12)
    # Two independent uniforms on [-1, 1] differ by 2/3 on average, squared; one of the twelve moves is by no pixel.
    assert found["eqt"] == pytest.approx(10 * math.log10(4 / (2 / 3) * 12 / 11), abs=0.2)


def test_moving_there_and_back_is_standing_still():
    pictures = waves(torch.eye(3))
    there, _ = moves.turn(pictures, 0.4)
    back, _ = moves.turn(there, -0.4)
    middle = slice(24, 40)
    assert (back - pictures)[..., middle, middle].abs().max() < 0.01
    whole, _ = moves.turn(torch.ones(1, 1, 32, 32), 1.0)
    assert (whole[..., 12:20, 12:20] - 1).abs().max() < 1e-5


def test_too_small_pictures_are_refused():
    with pytest.raises(ValueError, match="too small for equivariance"):
        equivariance([lambda inverse: torch.zeros(1, 1, 12, 12)])
