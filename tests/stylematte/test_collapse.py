"""A matte that goes flat under ddc stops its fit by name; one that merely has a hard time does not."""

import math
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from stylematte.config import BackboneConfig, DdcBorder, FpnConfig, MatterFitConfig, MatterLossConfig
from stylematte.losses.collapse import CollapseWatch
from stylematte.losses.ddc import PAPER
from stylematte.losses.weighted import ddc_factor
from stylematte.module import Collapsed, Diverged, MatterModule
from stylematte.rgba import MattingBatch, composite
from stylematte.sampling import MixtureSampler, generator_at

SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "drop_path_rate": 0.0}
NETWORK = FpnConfig(backbone=BackboneConfig(kwargs=SWIN), channels=8)
DDC = replace(PAPER, window=5, neighbours=8, border=DdcBorder.exclude, warmup=100)
FIT = MatterFitConfig(steps=150, lr=1e-2, weight_decay=0.0, warmup=2, ema=0.9, ddc=DDC)


def watched(known: list[float], excess: list[float]) -> int | None:
    """The step at which it is said, if it is."""
    watch = CollapseWatch()
    for step, pair in enumerate(zip(known, excess, strict=True)):
        if watch.update(*pair):
            return step
    return None


LEARNING = [0.5 * math.exp(-step / 30) + 0.05 for step in range(150)]
RISING = [0.05 + min(0.3, 0.01 * step) for step in range(100)]
FALLING = [0.08 * math.exp(-step / 10) for step in range(100)]


def test_both_signs_together_are_a_collapse() -> None:
    said = watched(LEARNING + RISING, [0.08] * 150 + FALLING)
    assert said is not None
    assert 160 < said < 220


@pytest.mark.parametrize(
    ("known", "excess"),
    [
        (LEARNING + RISING, [0.08] * 250),  # worse, but not flat
        (LEARNING + LEARNING[-1:] * 100, [0.08] * 150 + FALLING),  # flatter, but no worse
        (LEARNING + RISING, [-0.02] * 150 + FALLING),  # worse, and it followed the colours before
        (LEARNING, [-0.05 + 0.1 * math.exp(-step / 30) for step in range(150)]),  # follows the colours
        ([0.4, 0.1] * 100, [0.08, 0.002] * 100),  # few pictures with trimaps in a batch
    ],
)
def test_one_sign_alone_is_none(known: list[float], excess: list[float]) -> None:
    assert watched(known, excess) is None


def test_the_weight_of_ddc_rises_with_the_step() -> None:
    assert [ddc_factor(step, 4, 100) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert ddc_factor(24, None, 100) == 0.5
    assert ddc_factor(0, 0, 100) == 1.0


class Squares(Dataset):
    """A noisy square on a calm ground of the same colour, which tells ddc the wrong thing; with a trimap."""

    def __getitem__(self, draw):
        g, size = generator_at("square", draw.index), 32
        top, left = (int(v) for v in torch.randint(2, 14, (2,), generator=g))
        alpha, trimap = torch.zeros(2, 1, size, size)
        alpha[:, top : top + 16, left : left + 16] = 1
        trimap[:, top - 2 : top + 18, left - 2 : left + 18] = 0.5
        trimap[:, top + 2 : top + 14, left + 2 : left + 14] = 1
        front, back = (0.5 + spread * (torch.rand(3, size, size, generator=g) - 0.5) for spread in (0.6, 0.1))
        image = composite(front, alpha, back)
        none = torch.tensor(0.0)
        return MattingBatch(
            image, trimap, image, image, trimap, torch.tensor(1.0), none, none, trimap, torch.ones(1, 1, 1)
        )


def fit(weight: float, epochs: int, folder, resume=None) -> MatterModule:
    losses = MatterLossConfig.only(l1=1.0, known=1.0, ddc=weight)
    module = MatterModule(NETWORK, replace(FIT, losses=losses), seed=5)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, default_root_dir=folder, log_every_n_steps=100,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=True)],
    )  # fmt: skip
    loader = DataLoader(Squares(), batch_sampler=MixtureSampler([12], [4], steps=50, seed=5), num_workers=0)
    trainer.fit(module, loader, ckpt_path=resume)
    return module


@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_collapses_stops_by_name_and_at_the_same_step_after_a_restart(tmp_path) -> None:
    with pytest.raises(Collapsed, match=r"collapsed at step \d+: the known-region term rose .*lower losses.ddc") as one:
        fit(10.0, 3, tmp_path)
    assert issubclass(Collapsed, Diverged)
    with pytest.raises(Collapsed) as two:
        fit(10.0, 3, tmp_path, resume=str(tmp_path / "last.ckpt"))
    assert str(two.value) == str(one.value)


@pytest.mark.filterwarnings("ignore")
def test_with_a_small_weight_it_goes_on(tmp_path) -> None:
    state = fit(1.0, 1, tmp_path).collapse.state
    assert state["steps"] == 50
    assert state["known"] < 0.2
