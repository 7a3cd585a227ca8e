"""Runs of an experiment side by side, each in a process of its own with its share of the cores and GPUs.

A stop asks every run to stop at its next safe place; Ctrl-C again ends them at once; a killed parent takes its
children with it. Whatever ends them, the same call goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from loop.engine import orphans, signals
from loop.engine.execute import Event
from loop.engine.launchers.environment import machine_share, waiting
from loop.engine.stage import StageFailed, Stopped
from loop.experiments.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loop.experiments.execute import Job

LOOK = 0.2  # seconds between looks for a signal
Work = Callable[[Experiment, "Job", Callable[[Event], None]], None]
"""Brings one run up to date; a function of a module, so that another process can find it."""


@dataclass
class _Child:
    job: Job
    slot: int
    process: SpawnProcess
    messages: Connection
    """Of Event while it works, then how it ended: None or an exception."""


def side_by_side(
    work: Work,
    experiment: Experiment,
    jobs: Sequence[Job],
    at_once: int,
    listen: Callable[[Job, Event], None],
    finished: Callable[[], object],
) -> None:
    """Do `work` for every job, at most `at_once` at a time. finished: is called after each, in this process.

    After the first failure nothing new starts; what runs is waited for, then the failure is raised. Raises Stopped.
    """
    todo, running = list(jobs), list[_Child]()
    failure: BaseException | None = None
    asked = False
    while running or (todo and failure is None and not signals.stop_requested()):
        if signals.stop_requested() and not asked:
            asked = True
            for child in running:
                child.process.terminate()  # SIGTERM: its next safe place
        free = sorted(set(range(at_once)) - {child.slot for child in running})
        if todo and free and failure is None and not signals.stop_requested():
            running.append(_start(work, experiment, todo.pop(0), free[0], at_once))
            continue
        ready = wait([child.messages for child in running], LOOK)
        for child in [child for child in running if child.messages in ready]:
            message = _receive(child)
            if isinstance(message, Event):
                listen(child.job, message)
                continue
            running.remove(child)
            child.process.join()
            signals.forget(child.process.kill)
            if message is None:
                finished()
            elif failure is None or isinstance(failure, Stopped):
                failure = message
    if failure is not None:
        raise failure
    signals.stop_point("stopped between two runs")


def _start(work: Work, experiment: Experiment, job: Job, slot: int, at_once: int) -> _Child:
    here, there = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_child, args=(there, os.getpid(), work, experiment, job))
    share = machine_share(replace(job.config.launch, at_once=at_once), slot)
    with _environment({**share, **waiting()}):
        process.start()
    there.close()
    signals.at_second_interrupt(process.kill)
    return _Child(job, slot, process, here)


def _child(messages: Connection, parent: int, work: Work, experiment: Experiment, job: Job) -> None:
    os.setsid()  # Ctrl-C goes to the parent alone, which asks everyone once
    orphans.watch(parent)
    turn = threading.Lock()
    ended: BaseException | None = None

    def send(message: Event | BaseException | None) -> None:
        with turn:  # events of steps that run apart come from threads of their own
            messages.send(message)

    try:
        with signals.handled():
            work(experiment, job, send)
    except BaseException as error:
        ended = error if _can_be_sent(error) else RuntimeError(f"{type(error).__name__}: {error}")
    with suppress(OSError):
        send(ended)


def _receive(child: _Child) -> Event | BaseException | None:
    try:
        message: Event | BaseException | None = child.messages.recv()
        return message
    except EOFError:
        child.process.join()
        code = child.process.exitcode
        if signals.stop_requested():
            return Stopped("stopped before the run began")
        name = f"{child.job.arm}, seed {child.job.seed}"
        ended = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        return StageFailed(f"{name}: its process was ended {ended}; the same command goes on")


def _can_be_sent(error: BaseException) -> bool:
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set for processes that are started inside; libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
