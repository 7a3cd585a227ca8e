"""The plan is walked once: kills, changes and equal bytes wake exactly what they must."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from loop.engine.config import LaunchConfig
from loop.engine.digest_cache import CACHE
from loop.engine.execute import execute, freshness
from loop.engine.lock import one_writer
from loop.engine.manifest import write_manifest
from loop.engine.stage import StageRecord
from tests.loop.toy_run import toy, twelve, two_domains
from tests.loop.toy_start import toy_runs

INLINE = LaunchConfig()


@pytest.fixture
def start(tmp_path):
    with toy_runs(tmp_path / "calls") as start:
        yield start


def digests(run: Path) -> dict[str, str]:
    files = sorted(run.glob("rounds/**/stage.json"))
    return {str(file.parent.relative_to(run)): StageRecord.load(file.parent).outputs for file in files}


def leftovers(run: Path) -> list[Path]:
    return [path for path in run.rglob(".*") if path.name not in {".lock", CACHE, f"{CACHE}.partial"}]


def finished(run: Path) -> dict[Path, bytes]:
    return {
        file: file.read_bytes() for file in run.glob("rounds/**/stage.json") if "/." not in str(file.relative_to(run))
    }


def calls(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.mark.parametrize(("kind", "kills", "sleep"), [("inline", 8, 0.05), ("torchrun", 4, 0.1)])
def test_killed_at_random_moments_the_same_command_gives_the_same_run(tmp_path, start, kind, kills, sleep):
    execute(tmp_path / "whole", twelve(tmp_path / "calls", sleep), INLINE)
    (tmp_path / "calls").unlink()
    run, dice = tmp_path / "broken", random.Random(kind)
    for _ in range(kills):
        process, done = start(run, kind, sleep), finished(run)
        time.sleep(dice.uniform(0.15, 0.3 if kind == "inline" else 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for file, text in done.items():
            assert file.read_bytes() == text, "a finished stage was done again"
    process, done = start(run, kind, sleep), finished(run)
    assert process.communicate(timeout=60)[0].count("\n") > 11
    assert process.returncode == 0
    assert done.items() <= finished(run).items()
    assert digests(run) == digests(tmp_path / "whole")
    assert leftovers(run) == []
    assert len(digests(run)) == 12


@pytest.mark.parametrize("kind", ["inline", "torchrun"])
def test_side_by_side_and_killed_it_gives_the_run_of_one_after_the_other(tmp_path, start, kind):
    execute(tmp_path / "whole", two_domains(tmp_path / "calls", 0.0), INLINE)
    (tmp_path / "calls").unlink()
    run, dice = tmp_path / "broken", random.Random(kind)
    for _ in range(4):
        process, done = start(run, kind, 0.1, "beside"), finished(run)
        time.sleep(dice.uniform(0.3, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert done.items() <= finished(run).items(), "a finished stage was done again"
    process = start(run, kind, 0.1, "beside")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert digests(run) == digests(tmp_path / "whole")
    assert leftovers(run) == []
    ticks = [line.split()[0] for line in calls(tmp_path / "calls") if "/fit " in line]
    if kind == "inline":  # torchrun takes longer to start than these fits take
        assert sum(one != other for one, other in pairwise(ticks)) > 1, "the two fits did not run at the same time"


def test_stopped_side_by_side_both_fits_keep_what_they_have(tmp_path, start):
    process = start(tmp_path / "run", "inline", 0.3, "beside")
    until = time.monotonic() + 30
    while len({line.split()[0] for line in calls(tmp_path / "calls") if "/fit " in line}) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.terminate()
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 75, said
    assert said.count("waiting for its next checkpoint") == 2
    assert len(list((tmp_path / "run").glob("rounds/01/*/.fit.*/last.json"))) == 2


def test_nothing_outlives_a_killed_loop(tmp_path, start):
    process = start(tmp_path / "run", "torchrun", 4.0)
    until = time.monotonic() + 20
    while not (tmp_path / "calls").exists() and time.monotonic() < until:
        time.sleep(0.02)
    (pid,) = (int(file.read_text()) for file in (tmp_path / "run").glob("rounds/00/.prepare.*/launch/pid.0"))
    process.kill()
    process.wait()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker is still there 5 s after its orchestrator was killed")


def test_a_second_run_is_refused(tmp_path, start):
    with one_writer(tmp_path):
        process = start(tmp_path)
        text = process.communicate(timeout=30)[0]
    assert process.returncode == 1
    assert text.startswith("error: ")
    assert "is in use by process" in text


def test_nothing_to_do_does_nothing(tmp_path):
    steps = twelve(tmp_path / "calls", 0)
    kinds: list[str] = []
    execute(tmp_path / "run", steps, INLINE, lambda event: kinds.append(event.kind))
    assert [kind for kind in kinds if kind != "progress"] == ["start", "done"] * 12
    before, kinds[:] = calls(tmp_path / "calls"), []
    execute(tmp_path / "run", steps, INLINE, lambda event: kinds.append(event.kind))
    assert kinds == ["fresh"] * 12
    assert calls(tmp_path / "calls") == before


def test_a_change_wakes_the_stage_and_its_followers(tmp_path):
    run, note = tmp_path / "run", tmp_path / "calls"
    steps = [
        toy("00/a", calls=str(note), word="a"),
        toy("00/b", {"x": "00/a"}, calls=str(note), word="b"),
        toy("00/c", {"x": "00/b"}, calls=str(note)),
        toy("00/d", {"x": "00/a"}, calls=str(note)),
    ]
    execute(run, steps, INLINE)
    note.unlink()
    steps[1] = toy("00/b", {"x": "00/a"}, calls=str(note), word="B")
    assert [(state, reason) for _, state, reason in freshness(run, steps)] == [
        ("fresh", ""),
        ("stale", "word: b -> B"),
        ("waits", "after 00/b"),
        ("fresh", ""),
    ]
    execute(run, steps, INLINE)
    assert calls(note) == ["00/b", "00/c"]
    assert (run / "rounds/00/c/text").read_text().strip() == "Ba"
    assert {state for _, state, _ in freshness(run, steps)} == {"fresh"}


def test_equal_bytes_let_the_followers_sleep(tmp_path):
    run, note = tmp_path / "run", tmp_path / "calls"
    steps = [toy("00/a", calls=str(note), word="a"), toy("00/b", {"x": "00/a"}, calls=str(note))]
    execute(run, steps, INLINE)
    note.unlink()
    steps[0] = replace(steps[0], version=2)
    assert [state for _, state, _ in freshness(run, steps)] == ["stale", "waits"]
    execute(run, steps, INLINE)
    assert calls(note) == ["00/a"]


def test_freshness_of_an_empty_run(tmp_path):
    steps = twelve(tmp_path / "calls", 0)
    states = [state for _, state, _ in freshness(tmp_path / "none", steps)]
    assert states == ["missing"] + ["waits"] * 11
    assert not (tmp_path / "none").exists()


def test_the_manifest_is_only_a_view(tmp_path):
    run, steps = tmp_path / "run", twelve(tmp_path / "calls", 0)
    execute(run, steps, INLINE)
    text = (run / "manifest.json").read_text()
    rows = json.loads(text)["steps"]
    assert [row["id"] for row in rows] == [step.id for step in steps]
    assert {row["state"] for row in rows} == {"fresh"}
    (run / "manifest.json").unlink()
    write_manifest(run, steps)
    assert (run / "manifest.json").read_text() == text
    assert rows[1]["record"]["metrics"] == {"length": 4}


def test_a_listener_that_raises_finds_everything_on_disk(tmp_path):
    def gate(event) -> None:
        if event.kind == "done" and event.step.id == "01/d/label":
            raise RuntimeError("gate")

    steps = twelve(tmp_path / "calls", 0)
    with pytest.raises(RuntimeError, match="gate"):
        execute(tmp_path / "run", steps, INLINE, gate)
    rows = json.loads((tmp_path / "run/manifest.json").read_text())["steps"]
    assert [row["state"] for row in rows] == ["fresh", "fresh", "missing"] + ["waits"] * 9
    assert rows[1]["record"]["metrics"] == {"length": 4}


def test_the_orchestrator_imports_neither_torch_nor_numpy():
    heavy = "{'torch', 'numpy', 'lightning', 'omegaconf'}"
    found = f"{heavy} & set(sys.modules)"
    code = f"import loop.engine.execute, loop.engine.worker, sys; assert not {found}, {found}"
    subprocess.run([sys.executable, "-c", code], check=True)
