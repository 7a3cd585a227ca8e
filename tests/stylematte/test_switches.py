"""How a fit computes changes (nearly) nothing of what it computes: precision, memory order, checkpointing, compile."""

from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from stylematte import module as matter
from stylematte.config import BackboneConfig, DdcConfig, DetailConfig, MatterFitConfig, MatterLossConfig
from stylematte.losses.terms import named_terms
from stylematte.module import MatterModule
from stylematte.rgba import MattingBatch, composite, trimap_from_alpha
from stylematte.sampling import generator_at

SWIN = {"embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 4, "drop_path_rate": 0.0}
NETWORK = DetailConfig(backbone=BackboneConfig(kwargs=SWIN), channels=16, detail_channels=4)
LOSSES = {"l1": 1.0, "laplacian": 0.5, "gradient": 0.5, "composition": 1.0, "semantic": 1.0, "known": 1.0, "ddc": 2.0}
DDC = DdcConfig(window=5, neighbours=5, include_self=True, warmup=0)
FIT = MatterFitConfig(
    steps=3, lr=3e-3, warmup=1, ema=0.9, losses=MatterLossConfig.only(**LOSSES), ddc=DDC, trimap_shown=0.5
)


class Batches(Dataset):
    """Three batches of four: half have a trimap alone, every other is shown one."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> MattingBatch:
        g, side = generator_at("switches", number), 32
        front, back = torch.rand(2, 4, 3, side, side, generator=g)
        alpha = torch.linspace(-1, 2, side).clamp(0, 1).expand(4, 1, side, side).contiguous()
        trimap = trimap_from_alpha(alpha, 1)
        shown, known = torch.full_like(trimap, 0.5), torch.tensor([1.0, 1.0, 0.0, 0.0])
        shown[::2] = trimap[::2]
        image = composite(0.5 + 0.5 * front, alpha, 0.5 * back)
        one, all_of_it = torch.ones(4), torch.ones(4, 1, 1, 1)
        return MattingBatch(image, alpha, front, back, trimap, one, known, 0 * one, shown, all_of_it)


def losses(precision: str = "32-true", compiled: bool = False, **changes: Any) -> list[float]:
    """The loss of each of three steps, through Lightning."""
    module, seen = MatterModule(replace(NETWORK, **changes), FIT, seed=5, compiled=compiled), []
    note = pl.callbacks.LambdaCallback(on_train_batch_end=lambda t, m, out, b, i: seen.append(float(out["loss"])))
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=1, precision=precision, logger=False, callbacks=[note],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Batches(), batch_size=None))
    names = {name.split(".")[0] for name in module.state_dict()}
    assert names == {"network", "ema"}  # nothing of a wrapper in the file
    assert not any("_orig_mod" in name for name in module.state_dict())
    return seen


@pytest.fixture(scope="module")
def plain() -> list[float]:
    return losses()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("switch", ["gradient_checkpointing", "channels_last"])
def test_switches_of_the_network(plain: list[float], switch: str) -> None:
    assert losses(**{switch: True}) == pytest.approx(plain, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_bf16(plain: list[float]) -> None:
    found = losses("bf16-mixed")
    assert found == pytest.approx(plain, rel=0.03)
    assert found != plain  # it was on


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("unchecked")
def test_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that torch.compile takes, run without its code generator (which takes minutes); `python -m
    benchmarks.matter_step --compiled` runs that, too."""
    monkeypatch.setitem(matter.COMPILE, "backend", "eager")
    small = {"backbone": BackboneConfig("resnet10t")}
    plain = losses(**small)
    torch._dynamo.utils.counters.clear()
    assert losses(compiled=True, **small) == pytest.approx(plain, rel=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    assert not torch._dynamo.utils.counters["graph_break"]


def test_distances_of_colour_and_all_losses_stay_float32_under_autocast() -> None:
    module, batch = MatterModule(NETWORK, FIT, seed=5).eval(), Batches()[0]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        alpha, whole = module.predict(batch)
        named = module.weighted_loss(batch)[1]
    assert alpha.dtype == whole.dtype == torch.float32
    expected = named_terms(alpha, batch, LOSSES, DDC, whole)
    for name in LOSSES:
        term = expected[name]
        assert torch.equal(named[name], term.value.sum() / term.applies.sum()), name
