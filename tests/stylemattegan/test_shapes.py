"""The shapes in signatures of the generator's ops and networks are executed by the tests."""

import jaxtyping
import pytest
import torch

from stylemattegan.networks.discriminator import minibatch_std
from stylemattegan.networks.generator import Generator
from stylemattegan.ops import filtered_lrelu, modulated_conv2d


def test_a_style_for_another_number_of_pictures_does_not_pass():
    x, w = torch.zeros(2, 3, 8, 8), torch.ones(4, 3, 3, 3)
    with pytest.raises(jaxtyping.TypeCheckError, match="modulated_conv2d"):
        modulated_conv2d(x, w, torch.ones(3, 3), padding=1)


def test_a_bias_of_other_channels_does_not_pass():
    with pytest.raises(jaxtyping.TypeCheckError, match="filtered_lrelu"):
        filtered_lrelu(torch.zeros(2, 3, 8, 8), b=torch.zeros(4))


def test_the_statistic_takes_as_many_channels_as_it_says():
    assert minibatch_std(torch.rand(4, 6, 4, 4), 4, 2).shape == (4, 8, 4, 4)


def test_styles_for_another_number_of_layers_do_not_pass():
    G = Generator(z_dim=8, w_dim=8, img_resolution=16, channel_base=64, channel_max=4, num_layers=4, margin_size=4)
    with pytest.raises(jaxtyping.TypeCheckError, match="forward"):
        G.synthesis(torch.zeros(1, G.num_ws + 1, 8))
