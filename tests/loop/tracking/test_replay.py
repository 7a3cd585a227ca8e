"""`wandb sync` of a run's offline files to a server on loopback: every row of the run's own record arrives, once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import loop
from loop.tracking.loop_id import loop_id
from stylematte.jsonl import read_jsonl
from tests.loop.tracking.replay import ROOT, arrived, environment, in_files, recorded, sync
from tests.loop.tracking.wandb_server import RecordingServer

FIT = """
import os, signal, sys
from pathlib import Path
from loop.tracking.fit_loggers import FitMirror

folder, mode, first, last, end = sys.argv[1:]
tracking, run_dir = {"wandb": mode, "project": "p", "code": False}, Path(folder)
labels = run_dir / "rounds/01/portraits/label"
mirror = FitMirror(tracking, run_dir, "01/fit_matter", {"size": 32}, {"labels": labels}, "c" * 8)
for step in range(int(first), int(last)):
    mirror.write(step, {"loss": 1 / (step + 1), "grad_norm": float("nan") if step == 2 else 0.5})
    mirror.write(step, {"lr/network": 0.1 * step})
if end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
mirror.finish()
"""
ROUNDS = """
import json, sys
from pathlib import Path
from PIL import Image
from loop.config.schema import Config
from loop.engine.record import StageRecord
from loop.tracking.entries import Alert, Table
from loop.tracking.rounds import RoundMirror

def stage(step, letter):
    folder = run_dir / "rounds" / step
    folder.mkdir(parents=True)
    Image.new("RGBA", (8, 8), (255, 0, 0, 99)).save(folder / "cutout.png")
    when = "2026-01-01T00:00:00+00:00"
    record = StageRecord(letter * 64, step.rpartition("/")[2], step, 1, {}, 0, {}, "o", {"kept": 3}, 1.5, when)
    (folder / "stage.json").write_text(json.dumps(record.to_json()))
    return record

def table():
    file = str(run_dir / "rounds/01/portraits/label/cutout.png")
    cells = [{"picture": file}, {"alpha_of": file}, {"error_of": file, "truth": file}, {"picture": "gone.png"}]
    return {"portraits/worst": Table(["photo", "alpha", "error", "lost", "SAD"], [[*cells, 0.5]])}

run_dir = Path(sys.argv[1])
mirror = RoundMirror(Config(), run_dir)
stages = [[stage("00/prepare", "a")], [stage("01/portraits/label", "b"), stage("01/fit_matter", "c")], []]
for round_ in range(3):
    verdict = {"accepted": round_ != 2, "reason": f"the reason of round {round_}"}
    metrics = {"portraits/SAD": 0.5 - round_ / 10, "portraits/kid": float("nan")}
    alert = Alert(f"round {round_}", verdict["reason"], "INFO" if verdict["accepted"] else "WARN")
    mirror.log(round_, metrics, verdict, {}, stages[round_], table if round_ == 1 else dict, alert)
sys.exit(not mirror.close(120))
"""


@pytest.fixture(autouse=True)
def _no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))


def write_killed_and_resumed(folder: Path, client: Path | None, mode: str = "offline", **more: str) -> None:
    """A fit that is killed after step 7 and goes on from step 5; then three rounds."""
    own, fit = environment(client, **more), [sys.executable, "-P", "-c", FIT, str(folder), mode]
    killed = subprocess.run([*fit, "0", "8", "killed"], env=own, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run([*fit, "5", "12", "finished"], env=own, cwd=ROOT, check=True)


def all_rows_arrive(folder: Path, client: Path | None) -> None:
    subprocess.run([sys.executable, "-P", "-c", ROUNDS, str(folder)], env=environment(client), cwd=ROOT, check=True)
    write_killed_and_resumed(folder, client)
    assert in_files(folder) == recorded(folder)
    with RecordingServer() as server:
        sync(folder, server, client)
        assert arrived(server) == recorded(folder)
        assert all(run.complete for run in server.runs.values())
        (fit,) = (rows for name, rows in arrived(server).items() if name.endswith("fit_matter"))
        assert [row["loss"] for row in fit] == [1 / (step + 1) for step in range(12)]
        assert ["grad_norm" in row for row in fit] == [step != 2 for step in range(12)]
        more_than_rows(server, loop_id(folder))
        sync(folder, server, client)  # once more: nothing is there twice
        assert arrived(server) == recorded(folder)


def more_than_rows(server: RecordingServer, loop_run: str) -> None:
    """Alerts, the table of round 1 with its pictures, and artifacts that the right runs made and read."""
    assert [(each["title"], each["severity"]) for each in server.alerts] == [
        ("round 0", "INFO"),
        ("round 1", "INFO"),
        ("round 2", "WARN"),
    ]
    table = server.runs[loop_run].rows[1]["portraits/worst"]
    assert (table["_type"], table["ncols"], table["nrows"]) == ("table-file", 5, 1)
    fit, found = f"{loop_run}-01-fit_matter", server.artifacts
    own = [each for each in found.values() if each.type != "run_table"]
    assert {(each.type, each.name, *sorted(each.aliases)) for each in own} == {
        ("data", "prepare", "latest", "round-0"),
        ("labels", "portraits-label", "latest", "round-1"),
        ("matter", "fit_matter", "accepted", "latest", "round-1"),
        ("matter", "fit_matter", "latest", "round-1"),
    }
    assert all(each.committed for each in own)
    assert {(run, found[id_].name) for run, id_ in server.used} == {(fit, "portraits-label"), (loop_run, "fit_matter")}
    assert len({each.digest for each in own if each.type == "matter"}) == 1  # one version, whoever logged it
    (labels,) = {json.dumps(each.manifest["contents"]["result"]["ref"]) for each in own if each.type == "labels"}
    assert labels.endswith('/run/rounds/01/portraits/label"')


def test_every_row_arrives_once_though_the_fit_was_killed(tmp_path: Path) -> None:
    all_rows_arrive(tmp_path / "run", None)


@pytest.mark.slow
def test_an_online_fit_that_was_killed_has_no_gap_and_no_row_twice(tmp_path: Path) -> None:
    with RecordingServer() as server:
        write_killed_and_resumed(tmp_path / "run", None, "online", **server.environment())
        assert arrived(server) == recorded(tmp_path / "run")
    assert not list((tmp_path / "run/wandb").glob("offline-*"))


@pytest.mark.slow
def test_the_lowest_version_that_is_declared(tmp_path: Path) -> None:
    """Installed for this test alone. Files of it and of the installed version, sent by it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
    version = next(each for each in extras if each.startswith("wandb>=")).partition(">=")[2]
    client = tmp_path / "client"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(client), f"wandb=={version}.0"]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        pytest.skip("pip cannot install wandb here")
    all_rows_arrive(tmp_path / "run", client)
    (folder,) = (client).glob("wandb-*.dist-info")
    assert folder.name == f"wandb-{version}.0.dist-info"
    write_killed_and_resumed(tmp_path / "newer", None)
    with RecordingServer() as server:
        sync(tmp_path / "newer", server, client)
        assert arrived(server) == recorded(tmp_path / "newer")


@pytest.mark.slow
@pytest.mark.parametrize(
    "launch", [(), ("launch.kind=torchrun", "launch.devices=2", "launch.accelerator=cpu", "generator.fit.batch=8")]
)
def test_a_whole_run_of_one_and_of_two_processes(tmp_path: Path, launch: tuple[str, ...]) -> None:
    run_dir = tmp_path / "tiny"
    loop.run(ROOT / "configs/tiny.yaml", f"run.dir={run_dir}", "tracking.wandb=offline", *launch)
    rows = recorded(run_dir)
    assert len(rows) == 1 + 2 + 2  # the loop, two matters, a generator of each domain
    assert in_files(run_dir) == rows
    for path in (run_dir / "rounds").rglob("metrics.jsonl"):
        (name,) = [name for name in rows if name.endswith("-".join(path.parent.relative_to(run_dir / "rounds").parts))]
        for row in read_jsonl(path):  # the fit's own record: each of its numbers is in W&B's row of that step
            (sent,) = [each for each in rows[name] if each["step"] == row["step"]]
            assert {key: value for key, value in row.items() if value is not None}.items() <= sent.items()
    with RecordingServer() as server:
        sync(run_dir, server)
        assert arrived(server) == rows
