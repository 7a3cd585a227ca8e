"""RGB networks with an alpha: the same pictures, the same logits, whatever the alpha; and both can learn."""

from __future__ import annotations

import pytest
import torch

from stylematte.rgba import unpremultiply_about_grey
from stylemattegan.importing.surgery import discriminator_to_rgba, generator_to_rgba
from stylemattegan.networks import Discriminator
from tests.stylemattegan.snapshots import networks


@pytest.mark.parametrize(
    "changes",
    [{}, {"conv_kernel": 1, "use_radial_filters": True}, {"c_dim": 3}, {"output_scale": 0.5}],
    ids=["T", "R", "conditional", "scale"],
)
def test_the_picture_is_unchanged_and_opaque(changes):
    _, _, G = networks(3, **changes)
    new = generator_to_rgba(G)
    z, c = torch.randn(3, 8), torch.eye(3) if "c_dim" in changes else None
    with torch.no_grad():
        rgb, rgba = G(z, c, psi=0.7), new(z, c, psi=0.7)
    assert float(rgb.abs().max()) > 0.1
    torch.testing.assert_close(rgba[:, :3], rgb, rtol=0, atol=1e-6)
    torch.testing.assert_close(rgba[:, 3:], torch.ones_like(rgba[:, 3:]), rtol=0, atol=1e-6)
    straight = unpremultiply_about_grey(rgba)  # as `sample` and the loop decode it
    torch.testing.assert_close(straight[:, :3], ((rgb + 1) / 2).clamp(0, 1), rtol=0, atol=1e-6)


def test_everything_but_to_rgb_is_copied_and_the_new_row_learns():
    _, _, G = networks(3)
    new = generator_to_rgba(G)
    assert new.config == {**G.config, "img_channels": 4}
    same = {k for k, v in new.state_dict().items() if k in G.state_dict() and torch.equal(v, G.state_dict()[k])}
    last = f"synthesis.{new.synthesis.layer_names[-1]}"
    assert set(new.state_dict()) - same == {k for k in new.state_dict() if k.startswith(last)}
    new.requires_grad_(True)
    new(torch.randn(2, 8))[:, 3].square().sum().backward()
    row = getattr(new.synthesis, new.synthesis.layer_names[-1]).weight.grad[3]
    assert float(row.abs().max()) > 0


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_the_logits_are_unchanged_whatever_the_alpha_and_the_new_input_learns(architecture, c_dim):
    torch.manual_seed(0)
    D = Discriminator(16, 3, c_dim=c_dim, channel_base=64, channel_max=4, architecture=architecture)
    new = discriminator_to_rgba(D)
    rgb, c = torch.randn(4, 3, 16, 16), torch.eye(4)[:, :3] if c_dim else None
    logits = D(rgb, c)
    for alpha in (torch.ones(4, 1, 16, 16), torch.randn(4, 1, 16, 16)):
        torch.testing.assert_close(new(torch.cat([rgb, alpha], 1), c), logits, rtol=1e-5, atol=1e-6)
    new(torch.cat([rgb, torch.ones(4, 1, 16, 16)], 1), c).sum().backward()
    assert float(new.b16.fromrgb.weight.grad[:, 3].abs().max()) > 0


def test_only_rgb_becomes_rgba():
    G, D, _ = networks(4)
    for change, network in ((generator_to_rgba, G), (discriminator_to_rgba, D)):
        with pytest.raises(ValueError, match="has 4 channels; only RGB"):
            change(network)
