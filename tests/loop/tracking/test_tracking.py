"""The mirror: complete, the same after a resume, and harmless when W&B is not there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loop.config.schema import Config, WandbMode
from loop.engine.stage import StageRecord
from loop.tracking import rounds, wandb_run
from loop.tracking.curves import MetricsFile, read_curves
from loop.tracking.entries import RoundEntry, StageEntry
from loop.tracking.fit_loggers import fit_loggers, stage_logger
from loop.tracking.loop_id import loop_id
from loop.tracking.rounds import log_round
from loop.tracking.wandb_run import WandbRun
from stylematte.jsonl import read_jsonl

ROOT = Path(__file__).parents[3]


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
    loggers = fit_loggers("disabled", "p", tmp_path, "01/portraits/fit_generator", tmp_path / "s")
    assert [logger.name for logger in loggers] == ["jsonl"]
    loggers[0].log_metrics({"loss/l1": 0.5, "epoch": 0}, step=3)
    loggers[0].finalize("success")
    assert read_jsonl(tmp_path / "s" / "metrics.jsonl") == [{"step": 3, "loss/l1": 0.5, "epoch": 0.0}]
    assert not (tmp_path / "wandb").exists()


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

    loggers = fit_loggers("disabled", "p", tmp_path, "00/fit_matter", tmp_path)
    options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_steps=4, log_every_n_steps=2, logger=loggers, accelerator="cpu", **options)
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(8, 1), batch_size=2))
    points = read_curves(tmp_path / "metrics.jsonl")["loss/l1"]
    assert [step for step, _ in points] == [1, 3]
    assert points[1][1] < points[0][1]


def test_a_context_is_enough(tmp_path):
    runtime = {"run_dir": str(tmp_path), "tracking": {"wandb": "offline", "project": "p"}}
    ctx = SimpleNamespace(runtime=runtime, step_id="00/fit_matter", scratch=tmp_path / "scratch")
    assert [logger.name for logger in stage_logger(ctx)] == ["jsonl", "wandb"]
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
    file, mirror = fit_loggers("offline", "p", tmp_path, "00/fit_matter", tmp_path)
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


def test_offline_round_and_stage_need_no_key_and_no_network(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = Config()
    config.run.dir = str(tmp_path)
    picture = tmp_path / "a.png"
    from PIL import Image

    Image.new("RGB", (4, 4)).save(picture)
    verdict = {"accepted": True, "reason": "Accepted: first."}
    stages = [record_of("00/fit_matter", "fit_matter"), record_of("01/animals/label", "label")]
    assert log_round(config, tmp_path, 0, {"portraits/SAD": 0.5}, verdict, {"probes": picture}, stages)
    stage = fit_loggers("offline", "stylematte", tmp_path, "00/fit_matter", tmp_path)[1]
    stage.log_metrics({"loss": 1.0}, 3)
    stage.finalize("success")
    name = loop_id(tmp_path)
    found = sorted(path.name for path in (tmp_path / "wandb").rglob("run-*.wandb"))
    runs = [f"{name}-00-fit_matter", f"{name}-01-animals-label", name]
    assert found == [f"run-{run}.wandb" for run in runs]


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


def test_an_entry_comes_out_of_json_as_it_went_in(tmp_path):
    stage = StageEntry.of(tmp_path, record_of("01/animals/label", "label"))
    entry = RoundEntry("offline", "p", "runs/a", 1, {"animals/SAD": 0.5}, True, "", {}, {"run": {"rounds": 2}}, [stage])
    assert RoundEntry.from_json(entry.to_json()) == entry


def test_a_child_that_hangs_is_ended(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rounds.sys, "executable", "/bin/cat")  # `cat -m loop.tracking.mirror` fails at once
    assert not log_round(Config(), tmp_path, 0, {}, {})
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nsleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(rounds.sys, "executable", str(sleeper))
    assert not log_round(Config(), tmp_path, 0, {}, {}, timeout=0.3)
    assert "no answer in 0.3 s" in caplog.text


def test_a_loop_py_in_the_working_directory_is_not_taken_for_the_package(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    (tmp_path / "loop.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert log_round(Config(), tmp_path, 0, {}, {"accepted": True})


def test_disabled_rounds_are_not_mirrored(tmp_path):
    config = Config()
    config.tracking.wandb = WandbMode.disabled
    assert not log_round(config, tmp_path, 0, {}, {})
    assert not (tmp_path / "loop_id").exists()


def records(file: Path):
    """The payloads of a .wandb file: LevelDB's log format, chunks in blocks of 32 KiB after a header of 7 bytes."""
    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_the_rounds_of_a_run_keep_steps_of_their_own(tmp_path, monkeypatch):
    """Three rounds, mirrored by three processes, are three steps."""
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("HOME", str(tmp_path))
    for round_, sad in enumerate((0.5, 0.4, 0.3)):
        assert log_round(Config(), tmp_path / "hats", round_, {"portraits/SAD": sad}, {"accepted": True})
    rows, names = [], set()
    for file in (tmp_path / "hats/wandb").rglob("run-*.wandb"):
        for payload in records(file):
            record = Record.FromString(payload)
            names |= {record.run.display_name} if record.HasField("run") else set()
            if record.HasField("history"):
                items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                rows.append((int(items["_step"]), json.loads(items["portraits/SAD"])))
    assert sorted(rows) == [(0, 0.5), (1, 0.4), (2, 0.3)]
    assert names == {"hats"}
