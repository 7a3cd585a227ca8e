"""Batches as a function of position: any number of workers, any number of ranks, any number of restarts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from stylematte import distributed
from stylematte.data import augment, datamodule
from stylematte.data.augment import Augment, Chance, compose, solve_background
from stylematte.data.datamodule import MatterData, PictureCache, Source
from stylematte.data.placement import placement, plain_background, touched_sides
from stylematte.errors import DataError
from stylematte.imagefile import read_rgb, write_alpha, write_rgb, write_rgba
from stylematte.rgba import composite

SIDE = 24


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Five photos with soft alphas, three cut-outs, two backgrounds: noise on slopes."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-1, 2, SIDE).clamp(0, 1).expand(1, SIDE, SIDE)
    for number in range(5):
        front, back = torch.rand(2, 3, SIDE, SIDE, generator=generator)
        write_rgb(folder / f"image{number}.png", composite(front, ramp, back))
        write_rgb(folder / f"front{number}.png", front)
        write_alpha(folder / f"alpha{number}.png", ramp)
        write_rgba(folder / f"cut{number}.png", torch.cat([front, ramp.flip(1)]))
        write_rgb(folder / f"back{number}.png", back)
    return folder


def data(folder: Path, workers: int = 0, new_background: float = 0.5, seed: int = 3, plain: bool = False) -> MatterData:
    photos = [
        {"image": folder / f"image{n}.png", "alpha": folder / f"alpha{n}.png", "foreground": folder / f"front{n}.png"}
        for n in range(5)
    ]
    cutouts = [{"rgba": folder / f"cut{n}.png"} for n in range(3)]
    sources = [Source("photos", photos, 0.5, 2.0), Source("made", cutouts, 0.5, 0.5), Source("off", [], 0.0)]
    backgrounds = [] if plain else [folder / "back0.png", folder / "back1.png"]
    return MatterData(sources, backgrounds, SIDE, 4, 3, workers, seed, new_background)


def batches(module: MatterData, epoch: int = 0) -> list:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def equal(first: list, second: list) -> bool:
    return all(torch.equal(a, b) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(("new_background", "plain"), [(0.0, False), (0.5, False), (1.0, True)])
def test_the_compositing_equation_holds(pictures, new_background, plain):
    for batch in batches(data(pictures, new_background=new_background, plain=plain)):
        assert batch.image.shape == batch.foreground.shape == batch.background.shape == (4, 3, SIDE, SIDE)
        assert batch.alpha.shape == (4, 1, SIDE, SIDE)
        assert (composite(batch.foreground, batch.alpha, batch.background) - batch.image).abs().max() < 1e-6
        assert all(part.dtype == torch.float32 for part in batch)
        assert all(part.min() >= 0 and part.max() <= 1 for part in batch[:4])
        assert batch.weight.tolist() == [2.0, 2.0, 0.5, 0.5]
        assert batch.known_alpha.tolist() == [1, 1, 1, 1]
        assert batch.taught.tolist() == [0, 0, 0, 0]
        assert set(batch.trimap.unique().tolist()) <= {0, 0.5, 1}


def test_same_seed_same_batches_with_any_number_of_workers(pictures):
    alone = batches(data(pictures), epoch=1)
    assert equal(alone, batches(data(pictures), epoch=1))
    assert equal(alone, batches(data(pictures, workers=2), epoch=1))
    assert not equal(alone, batches(data(pictures), epoch=0))
    assert not equal(alone, batches(data(pictures, seed=4), epoch=1))


def test_two_ranks_share_the_batch_of_one(pictures, monkeypatch):
    alone = batches(data(pictures))
    monkeypatch.setattr(distributed, "world", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        slices = [type(batch)(*(part[rank::2] for part in batch)) for batch in alone]
        assert equal(slices, batches(data(pictures)))


class Recorder(LightningModule):
    """Notes a sum of each batch by (epoch, step)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[tuple[int, int], float] = {}

    def training_step(self, batch, index):
        self.seen[self.trainer.current_epoch, index] = float(batch.image.double().sum())
        return self.weight * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(module: MatterData, folder: Path, epochs: int, resume: str | None = None) -> Recorder:
    """Train; leave `last.ckpt` of the last epoch's end and `after.ckpt` of the finished fit in the folder."""
    recorder = Recorder()
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(recorder, datamodule=module, ckpt_path=folder / f"{resume}.ckpt" if resume else None)
    trainer.save_checkpoint(folder / "after.ckpt")
    return recorder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("checkpoint", ["last", "after"])
def test_lightning_sets_the_epoch_also_after_a_restart(pictures, tmp_path, workers, checkpoint):
    expected = {
        (epoch, step): float(batch.image.double().sum())
        for epoch in range(4)
        for step, batch in enumerate(batches(data(pictures), epoch))
    }
    assert len(set(expected.values())) == 12
    before = fit(data(pictures, workers), tmp_path, 2)
    resumed = fit(data(pictures, workers), tmp_path, 4, resume=checkpoint)
    assert min(resumed.seen) == (2, 0)
    assert before.seen | resumed.seen == expected


def test_sources_without_pictures_or_labels_are_named(pictures):
    with pytest.raises(DataError, match="source 'made' has a share of the batch but no pictures"):
        MatterData([Source("made", [], 0.5)], [], SIDE, 4, 3)
    with pytest.raises(DataError, match="source 'photos': picture p/1 has no alpha"):
        MatterData([Source("photos", [{"id": "p/1", "image": "x.png", "alpha": None}], 1.0)], [], SIDE, 4, 3)
    with pytest.raises(DataError, match="no source has a share"):
        MatterData([], [], SIDE, 4, 3)


def test_the_cache_keeps_what_fits_and_checks_the_size(pictures):
    cache = PictureCache(SIDE, SIDE * SIDE * 3)
    first = cache.get(pictures / "back0.png", read_rgb)
    assert cache.get(pictures / "back0.png", read_rgb) is first
    second = cache.get(pictures / "back1.png", read_rgb)
    assert cache.get(pictures / "back1.png", read_rgb) is not second
    with pytest.raises(DataError, match=r"back0.png is 24 x 24, expected 32 x 32: prepare it again"):
        PictureCache(32, 0).get(pictures / "back0.png", read_rgb)


def test_wrong_augmentation_arguments_are_errors():
    with pytest.raises(ValueError, match=r"augmentation cannot be built: Argument.* 'var_limit'"):
        compose([("GaussNoise", {"var_limit": 3})])
    with pytest.raises(ValueError, match="augmentation cannot be built"):
        compose([("NoSuchTransform", {})])


def test_alpha_is_interpolated_linearly_and_moves_with_the_image():
    augment = Augment()
    stripes = np.kron(np.tile([0, 255], (1, 4)), np.ones((64, 8))).astype(np.uint8)
    values = set()
    for seed in range(20):
        moved = Chance(seed).apply(augment.geometry, image=np.dstack([stripes] * 3), mask=stripes, foreground=stripes)
        assert np.abs(moved["image"][..., 0].astype(int) - moved["mask"]).max() <= 1
        assert np.array_equal(moved["image"][..., 0], moved["foreground"])
        values |= set(np.unique(moved["mask"]))
    assert len(values) > 100  # nearest would leave {0, 255}


def test_a_background_is_solved_for_alike_with_and_without_short_cuts() -> None:
    """Where alpha is 0 or 1 the answer is known; the arithmetic gives the same bits there, and everywhere else."""
    rng = np.random.default_rng(0)
    image, front = (rng.integers(0, 256, (2, 40, 56, 3)) * np.float32(1 / 255)).astype(np.float32)
    alpha = rng.choice(np.float32([0, 1 / 255, 0.4, 0.985, 0.99, 254 / 255, 1]), (40, 56, 1))
    found, expected = solve_background(image, front, alpha), augment._solve_mixed(image, front, alpha)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    solved, back = found
    holds = np.abs(alpha * solved + (1 - alpha) * back - image)
    assert holds[alpha[..., 0] < 0.99].max() < 1e-6
    assert holds.max() <= 0.011


def test_pictures_are_stacked_as_they_are() -> None:
    pictures = list(np.random.default_rng(0).random((3, 5, 7, 3), np.float32))
    expected = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    assert datamodule._stack(pictures).equal(expected)
    assert datamodule._stack([each[..., :1] for each in pictures]).equal(expected[:, :1])
    assert datamodule._stack([each[:, ::-1] for each in pictures]).equal(expected.flip(-1))


def test_transforms_decide_independently():
    """With one seed for every transform, blur, noise and JPEG would come together or not at all."""
    pipeline = compose([("HorizontalFlip", {"p": 0.5}), ("VerticalFlip", {"p": 0.5})])
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    seen = [int(Chance(seed).apply(pipeline, image=corners)["image"][0, 0, 0]) for seed in range(200)]
    assert min(seen.count(corner) for corner in range(4)) > 25


def test_a_cut_off_subject_stays_cut_off_by_the_frame():
    rng = np.random.default_rng(0)
    for touched in [(False, True, False, False), (True, True, False, False), (False, True, True, True)]:
        for _ in range(50):
            matrix = placement(touched, 64, rng)
            low, high = matrix @ [0, 0, 1], matrix @ [63, 63, 1]
            sides = low[1] <= 1e-9, high[1] >= 63 - 1e-9, low[0] <= 1e-9, high[0] >= 63 - 1e-9
            assert all(there for there, wanted in zip(sides, touched, strict=True) if wanted)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[32:, 20:40] = 255
    assert touched_sides(alpha) == (False, True, False, False)


def test_plain_backgrounds_are_colours_and_slopes():
    flat = [len(np.unique(plain_background(16, np.random.default_rng(s)).reshape(-1, 3), axis=0)) for s in range(40)]
    assert flat.count(1) in range(10, 31)
    assert max(flat) > 16


def test_a_moved_cutout_takes_in_no_colour_from_where_it_is_transparent() -> None:
    from stylematte.data.placement import place_cutout

    red, grey = np.array([255, 0, 0], np.uint8), np.array([128, 128, 128], np.uint8)
    rows, columns = np.mgrid[:64, :64]
    alpha = (np.hypot(rows - 32, columns - 32) < 20).astype(np.uint8) * 255
    colour = np.where(alpha[..., None] > 0, red, grey)
    for seed in range(20):
        placed, matte = place_cutout(colour, alpha, np.random.default_rng(seed), mirror=False)
        edge = (matte > 25) & (matte < 230)
        assert edge.sum() > 20
        assert np.abs(placed[edge].astype(int) - red).max() <= 6


def test_rounded_places_leave_the_shares_of_the_loss_exact() -> None:
    shares = (0.2, 0.2, 0.1, 0.5)
    sources = [Source(str(i), [{"rgba": "unused.png"}], share) for i, share in enumerate(shares)]
    data = MatterData(sources, [], size=32, batch=7, steps_per_epoch=1)
    weights = [source.weight * places for source, places in zip(data.sources, data.places, strict=True)]
    assert [weight / sum(weights) for weight in weights] == pytest.approx(shares)
