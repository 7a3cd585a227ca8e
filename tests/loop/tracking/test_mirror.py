"""W&B's offline files, read back: one folder a run, whatever was killed and resumed, and nobody waits for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.config.schema import Config, WandbMode
from loop.engine.stage import StageRecord
from loop.tracking import rounds
from loop.tracking.fit_loggers import stage_logger
from loop.tracking.loop_id import loop_id
from loop.tracking.rounds import RoundMirror
from loop.tracking.wandb_run import sync_command
from stylematte.imagefile import write_rgb
from stylematte.jsonl import read_jsonl
from tests.loop.tracking.offline_files import offline_runs
from tests.loop.tracking.test_tracking import context

ROOT = Path(__file__).parents[3]
ACCEPTED = {"accepted": True, "reason": "Accepted: first."}


@pytest.fixture(autouse=True)
def _no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def mirrored(run_dir: Path, round_: int, sad: float, *stages: StageRecord, **images: Path) -> None:
    mirror = RoundMirror(Config(), run_dir)
    mirror.log(round_, {"portraits/SAD": sad}, ACCEPTED, images, stages)
    assert mirror.close(120)


def of_stage(step: str, **metrics: object) -> StageRecord:
    stage = step.rpartition("/")[2]
    return StageRecord("k", stage, step, 1, {}, 0, {}, "o", metrics, 1.5, "2026-01-01T00:00:00+00:00")


def test_rounds_of_several_processes_are_one_folder_and_stages_are_in_their_rows(tmp_path: Path) -> None:
    import torch

    run_dir, picture = tmp_path / "hats", tmp_path / "a.png"
    write_rgb(picture, torch.zeros(3, 4, 4))
    now = datetime.now()
    for begun in (now + timedelta(seconds=second) for second in range(60)):  # W&B takes another name in such a second
        (run_dir / f"wandb/offline-run-{begun:%Y%m%d_%H%M%S}-{loop_id(run_dir)}").mkdir(parents=True)
    mirrored(run_dir, 0, 0.5, of_stage("00/prepare", pictures=8), probes=picture)
    mirrored(run_dir, 1, 0.4, of_stage("01/portraits/label", kept=3), of_stage("01/fit_matter", steps=4))
    mirrored(run_dir, 1, 0.3)  # made again
    assert len(list(run_dir.glob("wandb/offline-run-*"))) == 1
    ((id_, (run,)),) = offline_runs(run_dir).items()
    assert id_ == run.group == loop_id(run_dir)
    assert (run.name, run.job_type) == ("hats", "loop")
    assert run.config["run"]["rounds"] == Config().run.rounds
    assert bool(run.git) == (ROOT / ".git").exists()
    assert run.curve("portraits/SAD") == [(0, 0.5), (1, 0.3)]
    assert run.curve("prepare/pictures") == [(0, 8)]
    assert run.rows[0]["verdict"] == "Accepted: first."
    assert len(list(run_dir.glob("wandb/offline-*/files/media/images/probes_0_*.png"))) == 1
    assert sync_command(run_dir) == f"wandb sync {run_dir}/wandb/offline-run-*"


KILLED = """
import os, signal, sys
from pathlib import Path
from loop.tracking.fit_loggers import FitMirror

tracking = {"wandb": "offline", "project": "p", "code": False}
mirror = FitMirror(tracking, Path(sys.argv[1]), "00/fit_matter", {})
for step in range(8):
    mirror.write(step, {"loss": 1 / (step + 1)})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_fit_killed_and_resumed_is_one_folder_with_every_step_once(tmp_path: Path) -> None:
    path = {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, env=os.environ | path, check=False)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    (tmp_path / "config.yaml").write_text("run: {rounds: 3}\n")
    _, mirror = stage_logger(context(tmp_path, "00/fit_matter"))
    for step in range(5, 10):  # the last checkpoint was after step 4
        mirror.log_metrics({"loss": 1 / (step + 1)}, step)
    mirror.finalize("success")
    runs = offline_runs(tmp_path)
    ((run,),) = runs.values()
    assert list(runs) == [f"{loop_id(tmp_path)}-00-fit_matter"]
    assert run.curve("loss") == [(step, pytest.approx(1 / (step + 1))) for step in range(10)]
    assert run.curve("trainer/global_step") == [(step, step) for step in range(10)]
    assert [row["step"] for row in read_jsonl(tmp_path / "tracking/00/fit_matter.jsonl")] == list(range(10))
    assert run.config["step"] == {"size": 32, "fit": {"steps": 4, "lr": 0.5}}
    assert (run.config["seed"], run.config["run"]) == (7, {"run": {"rounds": 3}})
    assert not run.git  # tracking.code=false


def test_the_loop_does_not_wait_for_a_mirror_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 20\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(rounds.sys, "executable", str(sleeper))
    mirror, began = RoundMirror(Config(), tmp_path), time.monotonic()
    for round_ in range(3):
        mirror.log(round_, {}, {})
    assert not mirror.close(0.2)
    assert time.monotonic() - began < 5
    assert [row["round"] for row in read_jsonl(tmp_path / "tracking/rounds.jsonl")] == [0, 1, 2]
    assert "W&B is still being written" in caplog.text
    os.kill(mirror._child.pid, 9)
    mirror._child.wait()


def test_a_mirror_that_hangs_ends_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from loop.engine.lock import FileLock

    (tmp_path / "tracking").mkdir()
    held = FileLock(tmp_path / "tracking/lock")
    assert held.acquire(0)
    mirror = RoundMirror(Config(), tmp_path, limit=1)
    mirror.log(0, {}, {})
    assert not mirror.close(60)
    assert "was not mirrored to W&B: no answer in 1 s" in caplog.text


def test_a_loop_py_in_the_working_directory_is_not_taken_for_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    mirrored(tmp_path / "run", 0, 0.5)


def test_disabled_rounds_are_not_mirrored(tmp_path: Path) -> None:
    config = Config()
    config.tracking.wandb = WandbMode.disabled
    RoundMirror(config, tmp_path).log(0, {}, {})
    assert not list(tmp_path.glob("[lt]*"))
    assert sync_command(tmp_path) is None


def test_run_ends_with_the_command_that_sends_what_was_not_sent(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "my run"
    shutil.copytree(tiny_run, run_dir)
    folder = run_dir / "wandb/offline-run-20260101_000000-abcd1234"
    folder.mkdir(parents=True)
    assert main(["run", str(run_dir)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"to W&B: wandb sync '{run_dir}/wandb'/offline-run-*"
    (folder / "run-abcd1234.wandb.synced").touch()
    assert sync_command(run_dir) is None
