"""Inversion: the quickstart's start weights find their own samples again; poses, encodings, what is refused."""

import math

import numpy as np
import pytest
import torch

import stylemattegan
from stylematte.errors import WeightsError
from stylematte.rgba import premultiply_about_grey, unpremultiply_about_grey
from stylemattegan.inversion import InvertConfig, invert, random_pyramid, target, whole
from stylemattegan.inversion.code import code_of, cutouts, encoded, features, from_straight, to_straight, transforms
from stylemattegan.networks.generator import Generator
from stylemattegan.sample import sample, transform_matrix, transformed

ROOT = __import__("pathlib").Path(__file__).parents[2]


@pytest.fixture(scope="module")
def small() -> Generator:
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "img_resolution": 32, "num_layers": 6, "margin_size": 4}
    return Generator(**sizes, channel_base=128, channel_max=8).eval().requires_grad_(False)


def test_own_samples_are_found_again() -> None:
    G = stylemattegan.load(ROOT / "configs/start/portraits").network
    own = sample(G, [1000, 1001], [1.0, 1.0])
    found = invert(G, whole(own), random_pyramid(), InvertConfig(steps=50, offset_steps=20, samples=12))
    assert (found.final <= 0.05 * found.initial).all()
    assert found.psnr.min() > 30
    assert found.in_world() == [True, True]
    noise = torch.rand(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    stray = invert(G, whole(noise), random_pyramid(), InvertConfig(steps=4, offset_steps=0, samples=2))
    assert stray.in_world() == [False]


def test_the_pose_is_the_generators_own_transform(small: Generator) -> None:
    w = small.mapping(torch.randn(1, 8, generator=torch.Generator().manual_seed(1)))
    pose = torch.tensor([[math.radians(20), 0.1, -0.2]])
    with transformed(small, transform_matrix((0.1, -0.2), 20)):
        expected = small.synthesis(w)
    assert torch.allclose(encoded(small, code_of(w)._replace(pose=pose)), expected, atol=1e-5)
    assert np.allclose(transforms(pose)[0].numpy(), np.linalg.inv(transform_matrix((0.1, -0.2), 20)), atol=1e-6)


def test_an_offset_is_added_behind_its_layer_and_the_layers_before_are_not_needed(small: Generator) -> None:
    code = code_of(small.mapping(torch.randn(2, 8)))._replace(layer=3)
    upto = features(small, code)
    assert torch.allclose(encoded(small, code, upto), encoded(small, code), atol=1e-6)
    moved = code._replace(offset=torch.ones_like(upto))
    assert torch.allclose(encoded(small, moved), encoded(small, code, upto + 1), atol=1e-6)


def test_the_encoding_is_that_of_the_base() -> None:
    rgba = torch.rand(2, 4, 8, 8)
    assert torch.allclose((cutouts(premultiply_about_grey(rgba))), from_straight(rgba), atol=1e-6)
    wild = torch.randn(2, 4, 8, 8) * 2
    assert torch.allclose(to_straight(cutouts(wild)), unpremultiply_about_grey(wild), atol=1e-5)


def test_a_picture_is_framed_by_a_square_and_never_squashed() -> None:
    rgba = torch.zeros(4, 40, 100)
    rgba[3, 10:30, 80:100] = 1
    found, (left, top, side) = target(rgba, 32)
    assert found.cutout.shape == (1, 4, 32, 32)
    assert (side, top, left) == (24, 8, 78)  # 20 pixels and 8 % on either side; two columns are outside
    assert found.inside[0, 0, 16, 31] < 0.5 < found.inside[0, 0, 16, 0]


def test_a_generator_without_alpha_is_refused_in_a_line() -> None:
    rgb = Generator(8, 8, 32, img_channels=3, channel_base=64, channel_max=4, num_layers=4, margin_size=4)
    with pytest.raises(WeightsError, match="of 3 channels; expected 4"):
        invert(rgb, whole(torch.rand(1, 4, 32, 32)), random_pyramid())
