"""Samples of the roads from unlabelled photos: a teacher's alpha with its agreement, cut-outs placed as labelled."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte import distributed
from stylematte.config import DdcConfig
from stylematte.data.augment import CAMERA, COLOUR, strengthened
from stylematte.data.datamodule import MatterData, MatterDataset, Source
from stylematte.data.photometry import draw
from stylematte.imagefile import write_alpha, write_rgb, write_rgba
from stylematte.inference.predict import pixel_agreement
from stylematte.losses.terms import named_terms
from stylematte.rgba import MattingBatch, composite
from stylematte.sampling import Draw

SIDE = 32


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled subjects low on the left; photos of a teacher's, believed on their left half; a central cut-out."""
    folder = tmp_path_factory.mktemp("pictures")
    g = torch.Generator().manual_seed(0)
    small, central = torch.zeros(2, 1, SIDE, SIDE)
    small[:, 20:28, 2:10], central[:, 6:26, 6:26] = 1, 1
    believed = torch.ones(1, SIDE, SIDE)
    believed[..., SIDE // 2 :] = 0.2
    for number in range(3):
        front, back = torch.rand(2, 3, SIDE, SIDE, generator=g)
        front = 0.5 + 0.0 * front + torch.tensor([0.25, 0.0, -0.25])[:, None, None]
        write_rgb(folder / f"image{number}.png", composite(front, central, back))
        write_rgb(folder / f"front{number}.png", front)
        write_rgb(folder / f"back{number}.png", back)
        write_alpha(folder / f"small{number}.png", small)
        write_alpha(folder / f"alpha{number}.png", central)
        write_alpha(folder / f"agreement{number}.png", believed)
        write_rgba(folder / f"cut{number}.png", torch.cat([front, central]))
    return folder


def sources(folder: Path, share: float = 0.25) -> list[Source]:
    labelled, photos = [], []
    for n in range(3):
        front = {"image": folder / f"image{n}.png", "foreground": folder / f"front{n}.png"}
        labelled.append({**front, "alpha": folder / f"small{n}.png"})
        beside = {"agreement": folder / f"agreement{n}.png", "confidence": 0.5 + 0.1 * n}
        photos.append({**front, "alpha": folder / f"alpha{n}.png", **beside})
    pairs = [{"rgba": folder / f"cut{n}.png"} for n in range(3)]
    cutouts = [{key: row[key] for key in ("image", "foreground", "alpha")} for row in photos]
    return [
        Source("labelled", labelled, share),
        Source("photos", photos, share, new_background=0.0, strength=2.0),
        Source("cutouts", cutouts, share, new_background=1.0, placed_as=labelled),
        Source("pairs", pairs, share, new_background=1.0, placed_as=labelled),
    ]


def data(folder: Path, workers: int = 0, hard: float = 0.5) -> MatterData:
    backgrounds = [folder / f"back{n}.png" for n in range(3)]
    return MatterData(sources(folder), backgrounds, SIDE, 8, 2, workers, seed=5, hard_background=hard)


def batches(module: MatterData, epoch: int) -> list[MattingBatch]:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def equal(first: list[MattingBatch], second: list[MattingBatch]) -> bool:
    return all(torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))


def test_samples_depend_on_their_position_alone(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process that begins at epoch 1, loading processes, and each of two ranks see what one process sees."""
    module = data(pictures)
    first, second = batches(module, 0), batches(module, 1)
    assert equal(second, batches(data(pictures), 1))
    assert equal(second, batches(data(pictures, workers=2), 1))
    assert not equal(first, second)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        assert equal([MattingBatch(*(part[rank::2] for part in each)) for each in second], batches(data(pictures), 1))


def test_what_a_source_asks_for_is_what_its_rows_get(pictures: Path) -> None:
    for batch in batches(data(pictures), 0):
        assert (composite(batch.foreground, batch.alpha, batch.background) - batch.image).abs().max() < 1e-5
        assert batch.agreement.shape == batch.alpha.shape
        labelled, photos, others = batch.agreement[:2], batch.agreement[2:4], batch.agreement[4:]
        assert (labelled == 1).all()
        assert (others == 1).all()
        assert {round(v, 2) for v in photos.flatten().tolist()} >= {0.2, 1.0}
        assert {round(weight, 3) for weight in batch.weight[2:4].tolist()} <= {0.5, 0.6, 0.7}
        assert batch.weight[[0, 1, 4, 5, 6, 7]].tolist() == [1] * 6
        assert batch.known_alpha.tolist() == [1] * 8


def test_agreement_moves_with_the_photo(pictures: Path) -> None:
    """Where the teacher's left half lies after a turn and a mirroring, there it is believed."""
    rows = sources(pictures)[1].rows
    split = [{**row, "alpha": row["agreement"]} for row in rows]
    dataset = MatterDataset([Source("photos", split, 1.0)], [], SIDE, 0.0, photometric=False)
    seen = [dataset.sample(Draw(0, 0, seed)) for seed in range(20)]
    for layers in seen:
        assert layers.agreement is not None
        assert np.array_equal(layers.agreement, layers.alpha)
    assert len({layers.alpha.tobytes() for layers in seen}) > 10


def test_cutouts_and_pairs_stand_where_labelled_subjects_do(pictures: Path) -> None:
    """The labelled are 8 pixels wide in the lower left corner, or mirrored in the right one; the cut-outs 20."""
    for source in (2, 3):
        dataset = MatterDataset(sources(pictures), [], SIDE, 0.5, photometric=False)
        for seed in range(40):
            alpha = dataset.sample(Draw(source, seed % 3, seed)).alpha[..., 0]
            rows, columns = np.nonzero(alpha > 0.5)
            assert np.sqrt(alpha.sum()) == pytest.approx(8, rel=0.15)
            assert rows.mean() == pytest.approx(23.5, abs=2.5)
            assert min(columns.mean(), SIDE - 1 - columns.mean()) == pytest.approx(5.5, abs=2.5)


def test_hard_backgrounds_change_no_sample_that_has_none(pictures: Path) -> None:
    without, half = (MatterDataset(sources(pictures), [], SIDE, 1.0, hard_background=p) for p in (0.0, 0.5))
    for source in (0, 2, 3):
        same = 0
        for seed in range(60):
            one, other = (each.sample(Draw(source, 0, seed)) for each in (without, half))
            assert np.array_equal(one.alpha, other.alpha) or not np.array_equal(one.background, other.background)
            same += np.array_equal(one.image(), other.image())
        assert 15 < same < 45


def test_a_hard_background_is_seen_in_the_sample(pictures: Path) -> None:
    """All fronts are (.75, .5, .25): so are their hard backgrounds, within the slope and the noise."""
    dataset = MatterDataset(sources(pictures), [], SIDE, 1.0, photometric=False, hard_background=1.0)
    for seed in range(20):
        back = dataset.sample(Draw(3, 0, seed)).background.mean((0, 1))
        assert np.abs(back - [0.75, 0.5, 0.25]).max() < 0.01


def test_two_views_that_differ_are_believed_by_what_they_share() -> None:
    views = torch.tensor([[[[1.0, 0.5, 0.0]]], [[[1.0, 0.9, 1.0]]], [[[0.9, 0.7, 0.5]]]])[:, None]
    assert pixel_agreement(views)[0, 0, 0].tolist() == pytest.approx([0.9, 0.6, 0.0])


def test_a_pixel_counts_by_its_agreement() -> None:
    """Differences .5 and 1 believed to .2 and 1 in a picture of two pixels a row: l1 is (.1 + 1) / 2."""
    truth, prediction = torch.tensor([0.5, 0.0]).expand(1, 1, 4, 2), torch.tensor([1.0, 1.0]).expand(1, 1, 4, 2)
    colour, one, none = torch.zeros(1, 3, 4, 2), torch.ones(1), torch.zeros(1)
    agreement = torch.tensor([0.2, 1.0]).expand(1, 1, 4, 2)
    batch = MattingBatch(colour, truth, colour + 1, colour, truth, one, one, none, truth, agreement)
    batch = batch._replace(image=composite(batch.foreground, truth, batch.background))
    terms = named_terms(prediction, batch, ("l1", "gradient", "composition"), DdcConfig())
    assert terms["l1"].value.item() == pytest.approx(0.55)
    assert terms["gradient"].value.item() == pytest.approx(0.9)  # |1 - .1| from left to right, 0 downwards
    assert terms["composition"].value.item() == pytest.approx(0.55)
    all_of_it = batch._replace(agreement=torch.ones(1, 1, 1, 1))
    assert named_terms(prediction, all_of_it, ("l1",), DdcConfig())["l1"].value.item() == pytest.approx(0.75)


def test_a_stronger_photometry_reaches_further_and_comes_more_often() -> None:
    assert strengthened(COLOUR, 1.0) == COLOUR
    twice = dict(strengthened([*COLOUR, *CAMERA], 2.0))
    assert twice["RandomBrightnessContrast"] == {"brightness_limit": 0.4, "contrast_limit": 0.4, "p": 0.75}
    assert twice["ImageCompression"]["quality_range"] == (25, 95)
    assert twice["GaussNoise"]["std_range"] == (0.005, 0.06)
    assert twice["GaussNoise"]["p"] == pytest.approx(0.4375)
    strength = torch.tensor([1.0, 2.0]).repeat(500)
    usual, mixed = draw(1, 2, 1000), draw(1, 2, 1000, strength)
    for name, one, other in zip(usual._fields, usual, mixed, strict=True):
        assert torch.equal(one[::2], other[::2]), name
    both = (usual.contrast != 1) & (strength == 2)
    assert torch.allclose(mixed.contrast[both] - 1, 2 * (usual.contrast[both] - 1), atol=1e-6)
    assert (mixed.contrast[1::2] != 1).float().mean() == pytest.approx(0.75, abs=0.06)
    assert all(torch.equal(one, other) for one, other in zip(usual, draw(1, 2, 1000, torch.ones(1000)), strict=True))
