"""Runs side by side: what they have in common is made once, a stop or a kill loses nothing, one's failure is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from loop.config.load import load_config
from loop.engine import signals
from loop.engine.stage import StageFailed
from loop.experiments import named, run
from loop.experiments.execute import Job, in_turn
from loop.experiments.side_by_side import side_by_side
from stylematte.errors import DataError

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
WORDS = ["matter.first.steps=40", "matter.first.tick=2", "matter.first.batch=4", "matter.first.warmup=2"]
ARMS = ["known-only", "ddc-2"]


def command(out: Path, at_once: int) -> list[str]:
    words = ["experiment", "without-alpha", str(TINY), "--seeds", "2", "--arms", ",".join(ARMS), "-o", str(out), *WORDS]
    return [sys.executable, "-m", "loop", *words, "--at-once", str(at_once)]


def start(out: Path, at_once: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(out, at_once), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for_fits(process: subprocess.Popen[str], out: Path, number: int) -> None:
    until = time.monotonic() + 300
    while len(list(out.glob("runs/*/*/rounds/00/.fit_matter.*/*.ckpt"))) < number:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_and_killed_side_by_side_it_says_what_it_says_one_by_one(tmp_path: Path) -> None:
    out, alone = tmp_path / "beside", tmp_path / "alone"
    process = start(out, 2)
    wait_for_fits(process, out, 2)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 75, printed
    assert "to go on: " in printed
    process = start(out, 2)
    wait_for_fits(process, out, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = subprocess.run(command(out, 2), cwd=ROOT, text=True, capture_output=True, check=True)
    assert "known-only, seed 1 [" in done.stderr
    found = run("without-alpha", TINY, WORDS, seeds=2, arms=ARMS, out=alone)
    assert {row.arm for row in found.rows} == set(ARMS)
    for name in ("table.json", "table.md", "plot.svg"):
        assert (out / name).is_file() == (alone / name).is_file()
        assert not (out / name).is_file() or (out / name).read_bytes() == (alone / name).read_bytes(), name


def test_what_two_arms_have_in_common_is_made_once(tmp_path: Path) -> None:
    """`prepare` is the same for the masks' arms; for every seed of one arm, too (test_execute)."""
    events: list[tuple[str, str]] = []
    run(
        "without-alpha",
        TINY,
        [*WORDS, "matter.first.steps=2"],
        seeds=1,
        arms=ARMS,
        out=tmp_path,
        at_once=2,
        listen=lambda job, event: events.append((event.step.stage, event.kind)),
    )
    counts = Counter(events)
    assert (counts["prepare", "done"], counts["prepare", "shared"]) == (1, 1)
    assert counts["fit_matter", "done"] == 2
    keys = {json.loads(file.read_text())["key"] for file in tmp_path.glob("runs/*/*/rounds/00/prepare/stage.json")}
    assert len(keys) == 1
    links = {file.stat().st_ino for file in tmp_path.glob("runs/*/*/rounds/00/prepare/index.jsonl")}
    assert len(links) == 1, "copied instead of linked"


def test_a_failure_in_one_is_raised_when_the_others_are_done(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a file where the run has a folder"):
        side_by_side(refuse_the_first, named("without-alpha"), jobs(tmp_path, 3), 2, print, print)
    assert [(tmp_path / f"arm{n}" / "measured.json").is_file() for n in range(3)] == [False, True, False]


def refuse_the_first(experiment, job, listen) -> None:
    """Stands for the making of a run: one is refused, one beside it ends after that, a third must not begin."""
    refused = job.folder.parent / "refused"
    if job.arm == "arm0":
        refused.touch()
        raise DataError("a file where the run has a folder")
    until = time.monotonic() + 60
    while not refused.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.5)  # in which the refusal arrives
    job.folder.mkdir()
    (job.folder / "measured.json").write_text("{}")


def note_environment(experiment, job, listen) -> None:
    """Stands for the making of a run; two are at work at the same time before either ends."""
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    job.folder.mkdir()
    (job.folder / "environment").write_text(" ".join(str(os.environ.get(name)) for name in names))
    until = time.monotonic() + 60
    while len(list(job.folder.parent.glob("*/environment"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)


def die(experiment, job, listen) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def jobs(folder: Path, number: int) -> list[Job]:
    config = load_config(TINY)
    return [Job(f"arm{n}", 0, config, folder / f"arm{n}", folder / "shared") for n in range(number)]


def test_each_has_its_part_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    done = []
    side_by_side(note_environment, named("without-alpha"), jobs(tmp_path, 2), 2, print, lambda: done.append(1))
    found = [(tmp_path / f"arm{n}" / "environment").read_text() for n in range(2)]
    assert found == ["3 4 PASSIVE", "5 4 PASSIVE"]
    assert len(done) == 2
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,5"


def test_a_killed_process_is_told_by_name(tmp_path: Path) -> None:
    with (
        signals.handled(),
        pytest.raises(StageFailed, match="arm0, seed 0: its process was ended by SIGKILL; the same command goes on"),
    ):
        side_by_side(die, named("without-alpha"), jobs(tmp_path, 1), 2, print, print)


def test_runs_that_begin_together_are_of_different_seeds() -> None:
    assert in_turn(["a", "b"], 2) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert in_turn(["a", "b"], 3, at_once=2) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("a", 2), ("b", 2)]
