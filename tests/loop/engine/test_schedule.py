"""Steps run after their inputs, side by side where they may, and nothing is lost when one fails."""

from __future__ import annotations

import threading
import time

import pytest

from loop.engine.config import Launch, LaunchConfig
from loop.engine.launchers.choice import runs_apart
from loop.engine.launchers.environment import machine_share
from loop.engine.schedule import walk
from loop.engine.step import Step
from tests.loop.toy_run import two_domains


def step(id_: str, *inputs: str, domain: str | None = None) -> Step:
    return Step(id_, "s", 0, domain, {name: name for name in inputs}, {}, 0, fit=domain is not None, version=1)


DIAMOND = [step("top"), step("left", "top", domain="l"), step("right", "top", domain="r"), step("end", "left", "right")]


def beside(step: Step) -> bool:
    return step.domain is not None


def test_one_at_once_is_the_order_of_the_plan(tmp_path):
    steps, seen = two_domains(tmp_path, 0.0), []
    walk(steps, 1, lambda step: False, lambda step, slot: (step.id, slot), lambda step, result: seen.append(result))
    assert seen == [(step.id, None) for step in steps]


def test_two_that_do_not_need_each_other_meet():
    meeting, slots = threading.Barrier(2), {}

    def work(step: Step, slot: int | None) -> None:
        slots[step.id] = slot
        if beside(step):
            meeting.wait(timeout=10)  # BrokenBarrierError if the other is not running

    done = []
    walk(DIAMOND, 2, beside, work, lambda step, _: done.append(step.id))
    assert slots["top"] is slots["end"] is None
    assert {slots["left"], slots["right"]} == {0, 1}
    assert [done[0], {*done[1:3]}, done[3]] == ["top", {"left", "right"}, "end"]


def test_never_more_than_at_once():
    steps = [step(str(n), domain="d") for n in range(7)]
    now, most, lock = 0, 0, threading.Lock()

    def work(step: Step, slot: int | None) -> None:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        time.sleep(0.02)
        with lock:
            now -= 1

    walk(steps, 3, beside, work, lambda *_: None)
    assert most == 3


def test_a_failure_starts_nothing_new_and_waits_for_what_runs():
    started, done, both = [], [], threading.Barrier(2)

    def work(step: Step, slot: int | None) -> None:
        started.append(step.id)
        if beside(step):
            both.wait(timeout=10)
        if step.id == "left":
            raise ValueError("left broke")
        if step.id == "right":
            time.sleep(0.3)

    with pytest.raises(ValueError, match="left broke"):
        walk(DIAMOND, 2, beside, work, lambda step, _: done.append(step.id))
    assert sorted(started) == ["left", "right", "top"]
    assert done == ["top", "right"]


def test_fits_of_domains_run_apart_and_everything_else_only_under_torchrun():
    fit, label, matter = step("f", domain="d"), Step("l", "s", 0, "d", {}, {}, 0, fit=False, version=1), step("m")
    assert not runs_apart(fit, LaunchConfig())
    inline, torchrun = (LaunchConfig(kind=kind, at_once=2) for kind in (Launch.inline, Launch.torchrun))
    assert [runs_apart(one, inline) for one in (fit, label, matter)] == [True, False, False]
    assert [runs_apart(one, torchrun) for one in (fit, label, matter)] == [True, True, False]


def test_slots_share_cores_and_gpus(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    launch = LaunchConfig(at_once=2, devices=4)
    assert machine_share(launch, 0) == {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert machine_share(launch, 1)["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    assert machine_share(LaunchConfig(at_once=2), 1) == {"OMP_NUM_THREADS": "8", "CUDA_VISIBLE_DEVICES": "GPU-a"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine_share(LaunchConfig(at_once=2, accelerator="cpu"), 0) == {}
