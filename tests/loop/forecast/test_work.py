"""What a network computes, as it is counted before the network is built."""

from pathlib import Path

import pytest

from loop.config.load import load_config
from loop.forecast.work import discriminator_work, generator_work, matter_work
from stylemattegan.config import GeneratorNetworkConfig
from stylemattegan.training.start import build

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"


def test_a_discriminator_of_one_block_by_hand() -> None:
    work = discriminator_work(GeneratorNetworkConfig(d_channel_base=64, d_channel_max=8), 8)
    block = 4 * 8 * 64 + 9 * 8 * 8 * 64 + 10 * 8 * 8 * 16  # fromrgb and conv0 at 8 x 8, conv1 and skip to 4 x 4
    end = 9 * 8 * 8 * 16 + 16 * 8 * 8  # the convolution at 4 x 4 and the matrix after it
    assert work.macs == block + end


@pytest.mark.parametrize("size", [32, 64])
def test_weights_are_those_of_the_built_networks(size: int) -> None:
    network = GeneratorNetworkConfig(z_dim=8, w_dim=16, channel_base=1024, channel_max=32, num_layers=8)
    built = build(network, size, 4, 0)
    for found, module in ((generator_work(network, size), built.G), (discriminator_work(network, size), built.D)):
        there = sum(parameter.numel() for parameter in module.parameters())
        assert found.parameters == pytest.approx(there, rel=0.05)  # without biases and the mapping


def test_a_wider_generator_multiplies_as_its_channels_squared() -> None:
    narrow, wide = (
        generator_work(GeneratorNetworkConfig(channel_base=base, channel_max=base // 16), 64) for base in (1024, 2048)
    )
    assert wide.macs / narrow.macs == pytest.approx(4, rel=0.1)
    assert wide.values / narrow.values == pytest.approx(2, rel=0.05)


def test_a_matter_grows_with_the_area_beyond_what_is_run() -> None:
    network = load_config(TINY).matter.network
    one, two = matter_work(network, 256), matter_work(network, 512)
    assert two.macs == 4 * one.macs
    assert two.kept == 4 * one.kept
    assert one.parameters == two.parameters == 90279
