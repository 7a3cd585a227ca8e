"""Pictures from seeds: independent of the batch, no copies."""

import pytest
import torch
from torch import nn

from stylemattegan.sample import latents, psi_for_seed, sample


class Plain(nn.Module):
    """A stand-in whose picture shows z and psi: colour 2F - 1 = psi tanh(z), alpha 1."""

    z_dim = 3

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, z, psi):
        colour = self.gain * psi[:, None] * z.tanh()
        return torch.cat([colour, torch.ones(len(z), 1)], 1)[:, :, None, None].expand(-1, -1, 2, 2)


def test_pictures_do_not_depend_on_the_batch():
    seeds, psi = [5, 0, 9, 7], [0.5, 1.0, 0.7, 0.6]
    together = sample(Plain(), seeds, psi, batch=3)
    assert together.shape == (4, 4, 2, 2)
    assert not together.requires_grad
    for i, (seed, cut) in enumerate(zip(seeds, psi, strict=True)):
        assert torch.equal(sample(Plain(), [seed], [cut])[0], together[i])
    expected = 0.5 + 0.5 * 0.7 * latents([9], 3)[0].tanh()
    torch.testing.assert_close(together[2, :3, 0, 0], expected)
    assert (together[:, 3] == 1).all()


def test_latents_are_standard_normal_and_differ():
    z = latents(range(500), 16)
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.05
    assert (torch.cdist(z, z) + 9 * torch.eye(500)).min() > 1


@pytest.mark.parametrize(
    ("seeds", "psi", "words"),
    [
        ([1, 2, 1], [1.0, 1.0, 0.5], "seed 1 is given more than once"),
        ([1, 2], [0.5, 0.0], "psi must be above 0"),
        ([1, 2], [0.5, -0.5], "psi must be above 0"),
        ([1, 2], [0.5], "2 seeds but 1 psi"),
        ([], [], "no seeds"),
    ],
)
def test_refusals(seeds, psi, words):
    with pytest.raises(ValueError, match=words):
        sample(Plain(), seeds, psi)


def test_psi_is_uniform_in_its_interval():
    values = torch.tensor([psi_for_seed(seed, (0.5, 1.0)) for seed in range(2000)])
    assert values.min() >= 0.5
    assert values.max() <= 1.0
    assert abs(values.mean() - 0.75) < 0.01
    assert abs(values.std() - 0.5 / 12**0.5) < 0.01
    assert psi_for_seed(3, (0.5, 1.0)) == psi_for_seed(3, (0.5, 1.0))
    with pytest.raises(ValueError, match="give 0 < low"):
        psi_for_seed(0, (0.0, 1.0))
