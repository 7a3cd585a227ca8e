"""The mirror: complete, the same after a resume, and harmless when W&B is not there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loop.engine.stage import StageRecord
from loop.tracking import wandb_run
from loop.tracking.curves import MetricsFile, read_curves
from loop.tracking.entries import StageEntry
from loop.tracking.fit_loggers import stage_logger
from loop.tracking.loop_id import loop_id
from loop.tracking.wandb_run import WandbRun
from stylematte.jsonl import read_jsonl

ROOT = Path(__file__).parents[3]


def context(run_dir: Path, step_id: str, mode: str = "offline", scratch: str = "scratch") -> SimpleNamespace:
    """What a fit's loggers read of a stage's context."""
    runtime = {"run_dir": str(run_dir), "tracking": {"wandb": mode, "project": "p", "code": False}}
    config = {"size": 32, "fit": {"steps": 4, "lr": 0.5}}
    return SimpleNamespace(
        runtime=runtime, step_id=step_id, scratch=run_dir / scratch, config=config, seed=7, inputs={}
    )


def test_importing_it_imports_neither_torch_nor_wandb_nor_lightning():
    modules = "loop.tracking.mirror, loop.tracking.rounds, loop.tracking.fit_loggers"
    code = f"import sys, {modules}; assert not {{'torch', 'wandb', 'lightning'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_resumed_file_equals_the_unbroken_one(tmp_path):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    one = MetricsFile(whole)
    for step in range(9, 100, 10):
        one.write(step, {"loss": step / 10})
    first = MetricsFile(broken)
    for step in range(9, 80, 10):  # dies at step 80; the last checkpoint is at step 50
        first.write(step, {"loss": step / 10})
    with broken.open("a") as file:
        file.write('{"step": 79, "lo')  # the crash cut a line
    second = MetricsFile(broken)
    for step in range(59, 100, 10):
        second.write(step, {"loss": step / 10})
    assert broken.read_text() == whole.read_text()


def test_nan_becomes_null_and_every_line_stays_json(tmp_path):
    path = tmp_path / "m.jsonl"
    MetricsFile(path).write(0, {"a": float("nan"), "b": 2})
    assert json.loads(path.read_text()) == {"step": 0, "a": None, "b": 2.0}
    assert read_curves(path) == {"b": [(0, 2.0)]}


def test_disabled_gives_the_file_alone_and_writes_through_lightning(tmp_path):
    loggers = stage_logger(context(tmp_path, "01/portraits/fit_generator", "disabled", "s"))
    assert [logger.name for logger in loggers] == ["jsonl"]
    loggers[0].log_metrics({"loss/l1": 0.5, "epoch": 0}, step=3)
    loggers[0].finalize("success")
    assert read_jsonl(tmp_path / "s" / "metrics.jsonl") == [{"step": 3, "loss/l1": 0.5, "epoch": 0.0}]
    assert not (tmp_path / "wandb").exists()
    assert not (tmp_path / "tracking").exists()


def test_a_real_fit_writes_its_curve(tmp_path):
    lightning = pytest.importorskip("lightning")
    import torch

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, _):
            loss = (self.w * batch).square().mean()
            self.log("loss/l1", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    loggers = stage_logger(context(tmp_path, "00/fit_matter", "disabled", "."))
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_steps=4, log_every_n_steps=2, logger=loggers, accelerator="cpu", **options)
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(8, 1), batch_size=2))
    points = read_curves(tmp_path / "metrics.jsonl")["loss/l1"]
    assert [step for step, _ in points] == [1, 3]
    assert points[1][1] < points[0][1]


def test_a_context_is_enough(tmp_path):
    ctx = context(tmp_path, "00/fit_matter")
    assert [logger.name for logger in stage_logger(ctx)] == ["jsonl", "mirror"]
    ctx.runtime = {}
    (file,) = stage_logger(ctx)
    file.log_metrics({"loss": 1.0}, 0)
    assert read_jsonl(tmp_path / "scratch" / "metrics.jsonl") == [{"step": 0, "loss": 1.0}]


def test_loop_id_is_made_once(tmp_path):
    assert loop_id(tmp_path / "run") == loop_id(tmp_path / "run")
    assert loop_id(tmp_path / "run") != loop_id(tmp_path / "other")


class Exploding:
    def __getattr__(self, name):
        raise RuntimeError("no W&B\ntoday")


def test_a_broken_wandb_is_one_warning_and_the_file_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(wandb_run, "_wandb", lambda: Exploding())
    file, mirror = stage_logger(context(tmp_path, "00/fit_matter", scratch="."))
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            for logger in (mirror, file):
                logger.log_metrics({"loss": 1.0}, step)
        mirror.log_hyperparams({"lr": 1})
        mirror.finalize("failed")
    assert [record.message for record in caplog.records] == [
        "W&B mirror stopped: RuntimeError: no W&B today; the fit goes on and metrics.jsonl has every number"
    ]
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 3


def test_online_without_a_way_out_falls_back_to_offline(tmp_path, monkeypatch, caplog):
    opened = []

    def open_(self, mode):
        opened.append(mode)
        if mode == "online":
            raise OSError("no route")
        return type("Run", (), {"log": lambda self, row: None, "finish": lambda self: None})()

    monkeypatch.setattr(WandbRun, "_open", open_)
    mirror = WandbRun("online", "round", dir=str(tmp_path))
    mirror.log({"a": 1})
    mirror.finish()
    assert opened == ["online", "offline"]
    assert "mirrored offline instead" in caplog.text


def record_of(step: str, stage: str) -> StageRecord:
    metrics = {"kept": 3, "per": {"mask": {"n": 2}}, "whole": True, "missing": None, "names": ["a"]}
    return StageRecord("k", stage, step, 1, {"a": 1}, 0, {}, "o", metrics, 1.5, "2026-01-01T00:00:00+00:00")


def test_a_stage_shows_its_numbers_flat_and_its_pictures(tmp_path):
    folder = tmp_path / "rounds/01/animals/label"
    folder.mkdir(parents=True)
    (folder / "sheet.png").write_bytes(b"")
    entry = StageEntry.of(tmp_path, record_of("01/animals/label", "label"))
    assert entry.metrics == {"seconds": 1.5, "kept": 3, "per/mask/n": 2, "whole": 1}
    assert entry.images == {"sheet": str(folder / "sheet.png")}
    assert entry.prefix == "animals/label/"
