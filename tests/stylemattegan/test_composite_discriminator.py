"""The second discriminator: its loss, R1, rising weight, warm start; and what it changes in the generator's step."""

import math

import pytest
import torch
from torch import nn

from stylematte.imagefile import write_rgb
from stylematte.sampling import generator_at
from stylemattegan.training.composite_discriminator import (
    FILE,
    CompositeDiscriminator,
    build_network,
    load_composite_discriminator,
    r1_at,
)
from stylemattegan.training.composites import Backgrounds, composite_encoded
from stylemattegan.training.losses import r1_penalty
from tests.stylemattegan.test_projected import Toy

SIZE, BATCH = 16, 8
WIDTHS = {"channel_base": 64, "channel_max": 6}


@pytest.fixture
def pool(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        write_rgb(file, torch.rand(3, SIZE, SIZE, generator=generator_at("background", i)))
    return Backgrounds(files, SIZE)


def second(pool, kind="composite", seed=0, network=None, **changes):
    options = dict(weight=1.0, warmup=0.0, r1_gamma=0.8, r1_every=3, batch=BATCH, seed=seed) | changes
    network = network or build_network(kind, SIZE, seed, WIDTHS, Toy() if kind == "projected" else None)
    return CompositeDiscriminator(network, pool, **options)


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
    judge = second(pool, network=MeanD())
    optimizer = torch.optim.SGD(judge.parameters(), lr=0.0)
    real, fake = cutouts("real"), cutouts("fake")
    terms = judge.learn(step_of(optimizer), optimizer, real, fake, step=3)
    told = []
    for phase, encoded, sign in (("real", real, -1), ("fake", fake, 1)):
        behind = pool.behind(encoded, BATCH, 0, "background", phase, 3)
        mean = composite_encoded(encoded, behind).mean((1, 2, 3))
        told.append(sum(math.log1p(math.exp(sign * 0.5 * float(m))) for m in mean) / BATCH)
    assert float(terms["D2/loss"]) == pytest.approx(sum(told), rel=1e-5)
    assert float(terms["D2/r1"]) == pytest.approx(0.25 / (3 * SIZE**2), rel=1e-4)
    # d (gamma / 2 * every * a^2 / 3 R^2) / da, of the last of the two steps
    assert float(judge.network.a.grad) == pytest.approx(0.8 / 2 * 3 * 2 * 0.5 / (3 * SIZE**2), rel=1e-4)
    assert set(judge.learn(step_of(optimizer), optimizer, real, fake, step=4)) == {"D2/loss"}


def test_r1_at_pictures_is_r1_of_the_first_discriminator():
    network = build_network("composite", SIZE, 0, WIDTHS)
    pictures = cutouts("r1")[:, :3]
    mine = r1_at([pictures], lambda entries: network(entries[0]))
    pictures = pictures.clone().requires_grad_()
    torch.testing.assert_close(mine, r1_penalty(pictures, network(pictures)))


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_learns_to_tell_and_tells_the_generator_alone(pool, kind):
    judge = second(pool, kind, r1_gamma=0.05)
    optimizer = judge.optimizer(0.02)
    real = torch.cat([torch.full((BATCH, 3, SIZE, SIZE), 0.9), torch.full((BATCH, 1, SIZE, SIZE), 0.9)], 1)
    fake = torch.cat([torch.full((BATCH, 3, SIZE, SIZE), -0.9), torch.full((BATCH, 1, SIZE, SIZE), 0.2)], 1)
    first = judge.learn(step_of(optimizer), optimizer, real, fake, 0)["D2/loss"]
    for step in range(1, 40):
        last = judge.learn(step_of(optimizer), optimizer, real, fake, step)["D2/loss"]
    assert float(last) < 0.5 * float(first)
    shown = fake.requires_grad_()
    optimizer.zero_grad()
    judge.generator_loss(shown, 25, 25 * BATCH).backward()
    assert float(shown.grad[:, :3].abs().sum()) > 0
    assert float(shown.grad[:, 3:].abs().sum()) > 0
    assert all(p.grad is None for p in judge.parameters())


def test_the_weight_scales_and_rises(pool):
    fake = cutouts("fake")
    full = float(second(pool).generator_loss(fake, 0, 0))
    assert float(second(pool, weight=0.3).generator_loss(fake, 0, 0)) == pytest.approx(0.3 * full)
    rising = second(pool, warmup=1000.0)
    told = [float(rising.generator_loss(fake, 0, shown)) for shown in (0, 250, 1000, 5000)]
    assert told == pytest.approx([0, 0.25 * full, full, full])


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_a_former_one_goes_on_if_it_was_built_alike(pool, kind, tmp_path):
    first = second(pool, kind, seed=1)
    first.save(tmp_path)
    later = second(pool, kind, seed=2, former=tmp_path, warmup=1000.0)
    for one, other in zip(first.state_dict().values(), later.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert later.warmup == 0
    wider = build_network("composite", SIZE, 0, WIDTHS | {"channel_max": 8})
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    assert not load_composite_discriminator(tmp_path, wider)
    assert all(torch.equal(value, before[name]) for name, value in wider.state_dict().items())
    assert not load_composite_discriminator(tmp_path / "nothing", wider)


def test_a_broken_file_is_one_line(pool, tmp_path):
    judge = second(pool)
    judge.save(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:200])
    with pytest.raises(ValueError, match=r"D2.safetensors cannot be read: ") as caught:
        load_composite_discriminator(tmp_path, judge.network)
    assert "\n" not in str(caught.value)


def test_initial_weights_depend_on_the_seed_alone(pool):
    torch.manual_seed(1)
    one = build_network("composite", SIZE, 5, WIDTHS).state_dict()
    torch.manual_seed(2)
    same, other = (build_network("composite", SIZE, seed, WIDTHS).state_dict() for seed in (5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["b4.out.weight"], other["b4.out.weight"])
