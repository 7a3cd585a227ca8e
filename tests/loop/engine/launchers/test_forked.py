"""Workers that are forks of a process with the imports done: the same results, nothing left running, kills survived."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loop.config.load import load_config
from loop.engine import orphans
from loop.engine.config import LaunchConfig
from loop.engine.execute import execute
from loop.engine.launchers import forked, process, watch
from loop.engine.step import Step
from tests.loop.planned import planned
from tests.loop.toy_run import toy, two_domains

TINY = Path(__file__).parents[4] / "configs" / "tiny.yaml"

pytestmark = pytest.mark.skipif(
    forked.sys.platform != "linux" or bool(forked.glob("/dev/nvidia[0-9]*")), reason="forks on Linux without a GPU"
)
BESIDE = LaunchConfig(at_once=2)


@pytest.fixture
def parents(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(pid, its server's pid or 0) of every process of a stage."""
    found: list[tuple[int, int]] = []

    def noted(stage, spec, log, environment):
        worker = forked.forked(stage, spec, log, environment)
        found.append((0, 0) if worker is None else (worker.pid, *servers()))
        return worker

    monkeypatch.setattr(process, "forked", noted)
    monkeypatch.setattr(watch, "BACKOFF", 0.05)
    return found


def servers() -> list[int]:
    return [server.process.pid for server in forked._servers.values()]


def outputs(folder: Path, steps, launch: LaunchConfig) -> list[tuple[str, str]]:
    return [(record.key, record.outputs) for record in execute(folder, steps, launch)]


def test_two_fits_have_one_server_which_ends_with_the_run(tmp_path, parents):
    steps = two_domains(tmp_path / "calls", 0.0)
    found = outputs(tmp_path / "forked", steps, BESIDE)
    assert len(parents) == 2
    assert len({pid for pid, _ in parents} | {server for _, server in parents}) == 3
    assert found == outputs(tmp_path / "inline", steps, LaunchConfig())
    assert not servers()
    assert not any(orphans.is_alive(pid) for pair in parents for pid in pair)


def test_a_dead_server_is_one_more_attempt(tmp_path, parents):
    steps = two_domains(tmp_path / "calls", 0.4)

    def kill_it() -> None:
        until = time.monotonic() + 60
        while len(parents) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(parents[0][1], signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    killer.start()
    events = []
    records = execute(tmp_path / "run", steps, BESIDE, events.append)
    killer.join()
    assert [event.kind for event in events].count("retry") == 2
    assert "ended with exit code -9" in next(event.text for event in events if event.kind == "retry")
    undisturbed = outputs(tmp_path / "undisturbed", steps, LaunchConfig())
    assert [(record.key, record.outputs) for record in records] == undisturbed


def in_two_domains(**config) -> list[Step]:
    steps = [toy(f"01/{domain}/x", fit=True, **config) for domain in ("p", "a")]
    return [replace(step, domain=step.id[3]) for step in steps]


def test_a_worker_finds_the_state_of_a_fresh_process(tmp_path, monkeypatch):
    asked = forked.forked  # with numpy and torch imported before the fork
    monkeypatch.setattr(process, "forked", lambda stage, *rest: asked("synthesize", *rest))
    records = execute(tmp_path / "run", in_two_domains(stage="state"), BESIDE)
    for record in records:
        assert record.metrics["imported"] == ["numpy", "torch"]
        assert record.metrics["seen"] == ""  # no mark of the other in the environment or in a module
        assert record.metrics["signals"] == [True, True]
    for name in ("random", "numpy", "torch"):
        assert records[0].metrics[name] != records[1].metrics[name]


def test_forked_fits_give_the_bits_of_inline_ones(tmp_path, tiny_run, parents):
    config = load_config(TINY, [f"run.dir={tmp_path}"])
    shutil.copytree(tiny_run / "rounds", tmp_path / "rounds")
    before = {}
    for domain in ("portraits", "animals"):
        folder = tmp_path / "rounds" / "01" / domain / "fit_generator"
        before[domain] = json.loads((folder / "stage.json").read_text())["outputs"]
        shutil.rmtree(folder)
    fits = [step for step in planned(config) if step.stage != "fit_matter" or step.round == 0]
    last = max(n for n, step in enumerate(fits) if step.stage == "fit_generator")
    records = execute(tmp_path, fits[: last + 1], LaunchConfig(at_once=2, accelerator=config.launch.accelerator))
    assert len(parents) == 2
    assert {r.step.split("/")[1]: r.outputs for r in records if r.stage == "fit_generator"} == before


def test_a_second_attempt_is_a_process_of_its_own(tmp_path, parents):
    steps = in_two_domains(stage="trouble", how="crash", times=1)
    records = execute(tmp_path / "run", steps, LaunchConfig(at_once=2, retries=1))
    assert [record.metrics for record in records] == [{"tries": 2}, {"tries": 2}]
    assert len(parents) == 2  # asked for the first attempts alone


def test_outside_a_run_nothing_is_forked(tmp_path):
    assert forked.forked("x", tmp_path / "spec", tmp_path / "log", {}) is None
