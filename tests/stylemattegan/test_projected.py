"""Heads on a frozen backbone: what is trained, what is not, and that the gradient goes through to the picture."""

import torch
from torch import nn

from stylematte.sampling import generator_at
from stylemattegan.networks.projected import ProjectedDiscriminator


class Toy(nn.Module):
    """Two maps of 4 and 6 channels at strides 4 and 8, and a dropout that would show in train mode."""

    channels = (4, 6)
    stride = 8

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.fine, self.coarse = nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 6, 2, 2)
        self.drop = nn.Dropout(0.5)
        self.seen = None

    def forward(self, image):
        self.seen = image.detach()
        fine = self.fine(self.drop(image))
        return [fine, self.coarse(fine.relu())]


def built(size=16, **changes):
    torch.manual_seed(0)
    return ProjectedDiscriminator(Toy(), Toy.channels, size, width=5, **changes)


def pictures(count=4, size=16):
    return torch.rand(count, 3, size, size, generator=generator_at("projected")) * 2 - 1


def test_one_logit_for_each_map_and_picture():
    assert built()(pictures()).shape == (4, 2)


def test_the_backbone_is_frozen_and_no_part_of_the_state():
    network = built().train()
    (backbone,) = network._frozen
    assert not backbone.training
    assert not any(p.requires_grad for p in backbone.parameters())
    assert {name.split(".")[0] for name in network.state_dict()} == {"heads"}
    trained = {id(p) for p in network.parameters()}
    assert not trained & {id(p) for p in backbone.parameters()}
    network.requires_grad_(True)(pictures()).sum().backward()
    assert all(p.grad is None for p in backbone.parameters())
    assert torch.equal(network(pictures()), network(pictures()))


def test_gradient_reaches_the_picture_through_the_frozen_part():
    network, shown = built().requires_grad_(False), pictures().requires_grad_()
    network(shown).sum().backward()
    assert bool((shown.grad.abs().sum((1, 2, 3)) > 0).all())


def test_the_backbone_sees_0_to_1_at_the_size_asked_for():
    network = built(size=24)
    network(torch.full((4, 3, 16, 16), -0.5))
    (backbone,) = network._frozen
    assert backbone.seen.shape == (4, 3, 24, 24)
    torch.testing.assert_close(backbone.seen, torch.full((4, 3, 24, 24), 0.25))


def test_maps_have_mean_0_and_variance_1_in_each_picture():
    for found in built().maps(pictures()):
        torch.testing.assert_close(found.mean((1, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.var((1, 2, 3), correction=0), torch.ones(4), atol=1e-2, rtol=0)
