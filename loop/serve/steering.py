"""What a person asks of a run: start, pause, stop, resume, roll back. The loop carries it out; here it is passed on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from loop.config.load import REPOSITORY, SHIPPED, load_config
from loop.engine import audit, requests
from loop.engine.live import read_live
from loop.engine.lock import holder
from loop.serve.queue import AlreadyQueued, Job
from loop.serve.service import Service
from stylematte.errors import ConfigError

Action = Literal["start", "pause", "stop", "resume", "rollback"]
ROLLBACK_SECONDS = 120.0
ENDING_SECONDS = 60.0


class Refused(ValueError):
    """Cannot be done as things are; one line with the cure."""


def act(service: Service, name: str, action: Action, by: str, round_: int | None, redo: bool) -> str:
    """Pass an action on; what was done, in one line. Raises Unknown, Refused."""
    run = service.folder(name)
    if action in ("pause", "stop"):
        try:
            requests.ask(run, "pause" if action == "pause" else "stop", by)
        except requests.NothingRuns as error:
            raise Refused(str(error)) from None
        return (
            "asked; the loop ends after the steps under way" if action == "pause" else "asked; the loop saves and ends"
        )
    _demand_idle(service, name, run)
    if action == "rollback":
        if round_ is None:
            raise Refused("rollback: say to which round")
        return roll_back(run, round_, by)
    job = go_on(service, name, by, redo)
    audit.record(run, by, action, job=job.id, redo=redo)
    return f"job {job.id} waits for its turn"


def go_on(service: Service, name: str, by: str, redo: bool) -> Job:
    """A job for a run folder. Raises Refused."""
    slots = _slots(service, load_config(service.folder(name) / "config.yaml", check=False).launch.devices)
    try:
        return service.queue.submit(name, "", [], 0, slots, by, redo)
    except AlreadyQueued as error:
        raise Refused(str(error)) from None


def roll_back(run: Path, round_: int, by: str) -> str:
    """By the loop's own command, in a process of its own: a run's lock belongs to whole processes. Raises Refused."""
    audit.record(run, by, "rollback", round=round_)
    command = [sys.executable, "-m", "loop", "rollback", str(run), str(round_)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ROLLBACK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"the rollback took more than {ROLLBACK_SECONDS:g} s and was ended") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Refused(lines[-1].removeprefix("stylematte: ") if lines else "the rollback failed")
    return f"the run is at the end of round {round_}"


def submit(
    service: Service, name: str, config: str, words: list[str], priority: int, slots: int | None, by: str, redo: bool
) -> Job:
    """A new run, or more of one, by a configuration and key=value words. Raises Refused, ConfigError."""
    if any(word.partition("=")[0].strip() == "run.dir" for word in words):
        raise ConfigError("run.dir: the queue names the folder itself, by the run's name")
    source = configurations(service).get(config)
    if source is None:
        raise ConfigError(f"config: there is none of that name; expected {', '.join(sorted(configurations(service)))}")
    devices = load_config(source, [*words, f"run.dir={service.runs.runs_dir / name}"]).launch.devices
    _demand_idle(service, name, service.runs.runs_dir / name)
    try:
        job = service.queue.submit(name, str(source), words, priority, slots or _slots(service, devices), by, redo)
    except AlreadyQueued as error:
        raise Refused(str(error)) from None
    return job


def configurations(service: Service) -> dict[str, Path]:
    """Name -> YAML file: the shipped ones, and the user's own, which come first."""
    folders = [SHIPPED, REPOSITORY, *([service.settings.configs] if service.settings.configs else [])]
    return {file.name: file.resolve() for folder in folders for file in sorted(folder.glob("*.yaml"))}


def _slots(service: Service, devices: int) -> int:
    return max(1, min(devices, len(service.settings.devices)))


def _demand_idle(service: Service, name: str, run: Path) -> None:
    """A loop that has just ended still writes its page and closes its mirror: that is waited for."""
    until = time.monotonic() + ENDING_SECONDS
    while _is_ending(service, name, run) and time.monotonic() < until:
        time.sleep(0.2)
    if service.queue.active(name) is not None:
        raise Refused(f"{name}: has a job that waits or runs; pause or cancel it first")
    who = holder(run)
    if who is not None:
        raise Refused(f"{name}: process {who['pid']} on {who['host']} writes it; pause or stop it first")


def _is_ending(service: Service, name: str, run: Path) -> bool:
    """Whether what works there has carried out its last step."""
    live, job, who = read_live(run), service.queue.active(name), holder(run)
    at_work = who["pid"] if who is not None else job.pid if job is not None else None
    return live is not None and live.state not in ("running", "stopping") and at_work == live.pid
