"""The composite discriminator: its loss, R1, rising weight, warm start; and what it changes in the generator's step."""

import math
import struct

import pytest
import torch
from torch import nn

from stylematte.imagefile import write_rgb
from stylematte.sampling import generator_at
from stylemattegan.config import CompositeDiscriminatorConfig, CompositeDiscriminatorKind, GeneratorNetworkConfig
from stylemattegan.training.composite_discriminator import (
    FILE,
    CompositeDiscriminator,
    build_network,
    load_composite_discriminator,
    r1_at,
)
from stylemattegan.training.composites import Backgrounds, composite_encoded
from stylemattegan.training.losses import r1_penalty
from stylemattegan.training.terms import Position, weighted_sum
from tests.stylemattegan.test_projected import Toy

SIZE, BATCH = 16, 8


@pytest.fixture
def pool(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        write_rgb(file, torch.rand(3, SIZE, SIZE, generator=generator_at("background", i)))
    return Backgrounds(files, SIZE)


def built(kind="composite", seed=0, width=6):
    network = GeneratorNetworkConfig(d_channel_base=64, d_channel_max=width)
    config = CompositeDiscriminatorConfig(CompositeDiscriminatorKind(kind))
    return build_network(config, network, SIZE, seed, Toy() if kind == "projected" else None)


def discriminator(pool, kind="composite", seed=0, network=None, previous=None, **changes):
    config = CompositeDiscriminatorConfig(CompositeDiscriminatorKind(kind), **({"r1_gamma": 0.8} | changes))
    network = network or built(kind, seed)
    return CompositeDiscriminator(network, pool, config, r1_every=3, batch=BATCH, seed=seed, previous=previous)


def verdict(d2, fake, step, shown):
    return weighted_sum(d2.generator_terms(fake, fake, Position(step, shown)))


def cutouts(name, count=BATCH):
    return torch.rand(count, 4, SIZE, SIZE, generator=generator_at(name)) * 2 - 1


def step_of(optimizer):
    def update(adam, parameters, loss):
        assert adam is optimizer
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


class MeanD(nn.Module):
    """D(x) = a times the mean of x: softplus and R1 = a^2 / (3 R^2) can be written down."""

    def __init__(self):
        super().__init__()
        self.a, self.config = nn.Parameter(torch.tensor(0.5)), {}

    def forward(self, x):
        return self.a * x.mean((1, 2, 3))[:, None]


def test_losses_and_r1_against_closed_forms(pool):
    d2 = discriminator(pool, network=MeanD())
    optimizer = torch.optim.SGD(d2.parameters(), lr=0.0)
    real, fake = cutouts("real"), cutouts("fake")
    terms = d2.learn(step_of(optimizer), optimizer, real, fake, Position(3, 0))
    losses = []
    for phase, encoded, sign in (("real", real, -1), ("fake", fake, 1)):
        behind = pool.behind(encoded, BATCH, 0, "background", phase, 3)
        mean = composite_encoded(encoded, behind).mean((1, 2, 3))
        losses.append(sum(math.log1p(math.exp(sign * 0.5 * float(m))) for m in mean) / BATCH)
    assert float(terms["D2/loss"]) == pytest.approx(sum(losses), rel=1e-5)
    assert float(terms["D2/r1"]) == pytest.approx(0.25 / (3 * SIZE**2), rel=1e-4)
    # d (gamma / 2 * every * a^2 / 3 R^2) / da, of the last of the two steps
    assert float(d2.network.a.grad) == pytest.approx(0.8 / 2 * 3 * 2 * 0.5 / (3 * SIZE**2), rel=1e-4)
    assert set(d2.learn(step_of(optimizer), optimizer, real, fake, Position(4, 0))) == {"D2/loss"}


def test_r1_at_pictures_is_r1_of_the_first_discriminator():
    network = built()
    pictures = cutouts("r1")[:, :3]
    found = r1_at([pictures], lambda entries: network(entries[0]))
    pictures = pictures.clone().requires_grad_()
    torch.testing.assert_close(found, r1_penalty(pictures, network(pictures)))


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_learns_the_difference_and_teaches_the_generator_alone(pool, kind):
    d2 = discriminator(pool, kind, r1_gamma=0.05)
    optimizer = d2.optimizer(0.02)
    real = torch.cat([torch.full((BATCH, 3, SIZE, SIZE), 0.9), torch.full((BATCH, 1, SIZE, SIZE), 0.9)], 1)
    fake = torch.cat([torch.full((BATCH, 3, SIZE, SIZE), -0.9), torch.full((BATCH, 1, SIZE, SIZE), 0.2)], 1)
    first = d2.learn(step_of(optimizer), optimizer, real, fake, Position(0, 0))["D2/loss"]
    for step in range(1, 40):
        last = d2.learn(step_of(optimizer), optimizer, real, fake, Position(step, 0))["D2/loss"]
    assert float(last) < 0.5 * float(first)
    shown = fake.requires_grad_()
    optimizer.zero_grad()
    verdict(d2, shown, 25, 25 * BATCH).backward()
    assert float(shown.grad[:, :3].abs().sum()) > 0
    assert float(shown.grad[:, 3:].abs().sum()) > 0
    assert all(p.grad is None for p in d2.parameters())


def test_the_weight_scales_and_rises(pool):
    fake = cutouts("fake")
    full = float(verdict(discriminator(pool), fake, 0, 0))
    assert float(verdict(discriminator(pool, weight=0.3), fake, 0, 0)) == pytest.approx(0.3 * full)
    rising = discriminator(pool, warmup_kimg=1.0)
    verdicts = [float(verdict(rising, fake, 0, shown)) for shown in (250, 1000, 5000)]
    (silent,) = rising.generator_terms(fake, fake, Position(0, 0))
    assert silent.weight == 0
    assert verdicts == pytest.approx([0.25 * full, full, full])


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_an_earlier_one_goes_on_if_it_was_built_alike(pool, kind, tmp_path):
    first = discriminator(pool, kind, seed=1)
    first.save(tmp_path)
    later = discriminator(pool, kind, seed=2, previous=tmp_path, warmup_kimg=1.0)
    for one, other in zip(first.state_dict().values(), later.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert later.warmup == 0
    wider = built(width=8)
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    assert not load_composite_discriminator(tmp_path, wider)
    assert all(torch.equal(value, before[name]) for name, value in wider.state_dict().items())
    assert not load_composite_discriminator(tmp_path / "nothing", wider)


def test_a_broken_file_is_one_line(pool, tmp_path):
    d2 = discriminator(pool)
    d2.save(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:200])
    with pytest.raises(ValueError, match=r"D2.safetensors: not a safetensors file or truncated") as caught:
        load_composite_discriminator(tmp_path, d2.network)
    assert "\n" not in str(caught.value)
    (tmp_path / FILE).write_bytes(struct.pack("<Q", 2**62) + bytes(100))
    with pytest.raises(ValueError, match=r"a header of 4,611,686,018,427,387,904 bytes"):
        load_composite_discriminator(tmp_path, d2.network)
    next(d2.network.parameters()).data.fill_(math.nan)
    d2.save(tmp_path)
    with pytest.raises(ValueError, match=r"D2.safetensors: .* holds values that are no numbers"):
        load_composite_discriminator(tmp_path, d2.network)


def test_initial_weights_depend_on_the_seed_alone(pool):
    torch.manual_seed(1)
    one = built(seed=5).state_dict()
    torch.manual_seed(2)
    same, other = (built(seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["b4.out.weight"], other["b4.out.weight"])
