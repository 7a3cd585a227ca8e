"""The trimap that a network is shown in training: true, of random width, now and then; and what it is worth."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte.config import BackboneConfig, DetailConfig, FpnConfig, MatterFitConfig, MatterLossConfig
from stylematte.data.augment import Chance, Layers
from stylematte.data.datamodule import MatterDataset, Source
from stylematte.data.trimap_input import exact_trimap, unknown_everywhere, widened_trimap
from stylematte.imagefile import write_alpha, write_rgb, write_trimap
from stylematte.module import MatterModule
from stylematte.rgba import MattingBatch, composite, trimap_from_alpha
from stylematte.sampling import Draw, generator_at

SIDE = 64


def layers(alpha: np.ndarray, trimap: np.ndarray | None = None) -> Layers:
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    return Layers(colour, alpha, colour, trimap)


def test_each_known_region_gives_up_a_band_of_a_width_of_its_own() -> None:
    """A step between columns 29 and 30 of 64: each side loses 1 to 4 columns, and which on one says nothing of the
    other."""
    alpha = np.zeros((SIDE, SIDE, 1), np.float32)
    alpha[:, 30:] = 1
    widths = []
    for seed in range(200):
        row = widened_trimap(layers(alpha), Chance(seed))[7, :, 0]
        widths.append((int((row[:30] == 0.5).sum()), int((row[30:] == 0.5).sum())))
        assert np.array_equal(np.sort(row), row)  # background, unknown, foreground: one band
        assert (row[: 30 - widths[-1][0]] == 0).all()
        assert (row[30 + widths[-1][1] :] == 1).all()
    outward, inward = np.array(widths).T
    assert set(outward) == set(inward) == {1, 2, 3}  # pixels at a distance of at most 1 <= d < 4
    assert abs(np.corrcoef(outward, inward)[0, 1]) < 0.2


def test_nothing_false_is_shown() -> None:
    rows, across = np.mgrid[:SIDE, :SIDE]
    alpha = (20 - np.hypot(rows - 30, across - 34)).clip(0, 6)[..., None].astype(np.float32) / 6
    given = trimap_from_alpha(torch.from_numpy(alpha).permute(2, 0, 1)[None], 1)[0].permute(1, 2, 0).numpy()
    for seed in range(10):
        shown = widened_trimap(layers(alpha), Chance(seed))
        assert alpha[shown == 1].min() > 0.98
        assert alpha[shown == 0].max() < 0.02
        shown = widened_trimap(layers(given, given), Chance(seed))  # a photo with a trimap alone
        assert set(given[shown == 1]) == {1.0}
        assert set(given[shown == 0]) == {0.0}
    assert exact_trimap(layers(alpha, given)) is given
    assert set(np.unique(exact_trimap(layers(alpha))[(alpha > 0) & (alpha < 1)])) == {0.5}
    assert set(np.unique(unknown_everywhere(layers(alpha)))) == {0.5}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    folder: Path = tmp_path_factory.mktemp("pictures")
    ramp = torch.linspace(-1, 2, SIDE).clamp(0, 1).expand(1, SIDE, SIDE)
    write_rgb(folder / "image.png", torch.rand(3, SIDE, SIDE, generator=generator_at("picture")))
    write_alpha(folder / "alpha.png", ramp)
    write_trimap(folder / "trimap.png", trimap_from_alpha(ramp[None], 2)[0])
    row = {name: folder / f"{name}.png" for name in ("image", "alpha", "trimap")}
    return [Source("labelled", [row], 0.5), Source("trimap", [row], 0.5, by_trimap=True)]


def test_the_share_of_samples_is_what_was_asked_for_and_nothing_else_changes(sources: list[Source]) -> None:
    draws = [Draw(number % 2, 0, seed) for seed in range(100) for number in range(2)]
    never, half, always = (MatterDataset(sources, [], SIDE, 0.5, trimap_shown=p)[draws] for p in (0.0, 0.5, 1.0))
    for batch in (half, always):
        others = batch._replace(trimap_input=never.trimap_input)
        assert all(torch.equal(a, b) for a, b in zip(others, never, strict=True))
    shown = [(batch.trimap_input != 0.5).flatten(1).any(1) for batch in (never, half, always)]
    assert [int(each.sum()) for each in (shown[0], shown[2])] == [0, 200]
    assert 75 < int(shown[1].sum()) < 125
    assert torch.equal(half.trimap_input[shown[1]], always.trimap_input[shown[1]])
    again = MatterDataset(sources, [], SIDE, 0.5, trimap_shown=0.5)[draws[50:60]]
    assert torch.equal(again.trimap_input, half.trimap_input[50:60])  # of the draw's seed alone


NETWORK = DetailConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=16, detail_channels=8)
FIT = MatterFitConfig(steps=50, lr=1e-2, warmup=5, ema=0.9, losses=MatterLossConfig.only(l1=1.0), trimap_shown=0.5)


def hidden_discs(seed: int, count: int = 4) -> MattingBatch:
    """Soft discs of noise before noise of nearly the same colours; half of the samples are shown a trimap."""
    g = generator_at("hidden", seed)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    centre = (16 + 32 * torch.rand(2, count, 1, 1, generator=g)).round()
    radius = 12 + 8 * torch.rand(count, 1, 1, generator=g)
    distance = ((y - centre[0]).square() + (x - centre[1]).square()).sqrt()
    alpha = ((radius + 3 - distance) / 6).clamp(0, 1)[:, None]
    front, back = torch.rand(2, count, 3, SIDE, SIDE, generator=g)
    front = 0.1 + 0.9 * front
    trimap = trimap_from_alpha(alpha, 1)
    shown = trimap.clone()
    shown[::2] = 0.5
    one, none = torch.ones(count), torch.zeros(count)
    all_of_it = torch.ones(count, 1, 1, 1)
    return MattingBatch(composite(front, alpha, back), alpha, front, back, trimap, one, one, none, shown, all_of_it)


def test_one_network_mattes_without_a_trimap_and_better_with_one() -> None:
    module = MatterModule(NETWORK, FIT, seed=0)
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=FIT.lr)
    for step in range(FIT.steps):
        optimizer.zero_grad()
        module.weighted_loss(hidden_discs(step))[0].backward()
        optimizer.step()
    batch, network = hidden_discs(1000, count=16), module.network
    unknown = batch.trimap == 0.5
    with torch.no_grad():
        found = {"without": network(batch.image), "with": network(batch.image, batch.trimap)}
    errors = {name: (alpha - batch.alpha)[unknown].abs().mean().item() for name, alpha in found.items()}
    best_constant = (batch.alpha - batch.alpha[unknown].median())[unknown].abs().mean().item()
    assert errors["with"] < 0.7 * errors["without"], errors
    assert errors["with"] < 0.7 * best_constant
    assert (found["without"] - batch.alpha).abs().mean() < 0.8 * batch.alpha.mean()  # it still works alone


def test_networks_that_take_no_trimap_are_refused() -> None:
    with pytest.raises(ValueError, match=r"trimap_shown above 0: expected a network that takes a trimap .* got fpn"):
        MatterModule(FpnConfig(backbone=NETWORK.backbone), FIT, seed=0)
