"""In which order steps run, and which of them at the same time: after their inputs, and else as the plan lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from loop.engine.step import Step

T = TypeVar("T")
LOOK = 0.2  # seconds between looks while steps run apart: a signal handler runs in the main thread alone


def walk(
    steps: Sequence[Step],
    at_once: int,
    apart: Callable[[Step], bool],
    work: Callable[[Step, int | None], T],
    finished: Callable[[Step, T], None],
) -> None:
    """Do `work` for every step, those `apart` in threads, at most `at_once` of them, the others in this thread.

    work: gets its slot in 0 ... at_once - 1 if it runs apart, else None. finished: is called in this thread.
    After the first exception nothing new starts; what runs apart is waited for, then the exception is raised.
    """
    waiting, done = list(steps), set[str]()
    running: dict[Future[T], tuple[Step, int]] = {}
    failure: BaseException | None = None

    def end(step: Step, result: Callable[[], T]) -> None:
        nonlocal failure
        try:
            finished(step, result())
            done.add(step.id)
        except BaseException as error:
            failure = failure or error

    with ThreadPoolExecutor(at_once) as pool:
        while running or (waiting and failure is None):
            for future in [future for future in running if future.done()]:
                end(running.pop(future)[0], future.result)
            ready = [step for step in waiting if failure is None and done.issuperset(step.inputs.values())]
            free = sorted(set(range(at_once)) - {slot for _, slot in running.values()})
            beside = [step for step in ready if apart(step)]
            here = [step for step in ready if step not in beside]
            if beside and free:
                waiting.remove(beside[0])
                running[pool.submit(work, beside[0], free[0])] = beside[0], free[0]
            elif here:
                waiting.remove(here[0])
                end(here[0], partial(work, here[0], None))
            elif running:
                wait(running, LOOK, FIRST_COMPLETED)
            else:
                assert failure is not None or not waiting, f"{waiting[0].id} waits for a step that is not in the plan"
    if failure is not None:
        raise failure


def wall_seconds(
    steps: Sequence[Step], seconds: Mapping[str, float], at_once: int, apart: Callable[[Step], bool]
) -> float:
    """How long `walk` will take if each step takes so many seconds."""
    waiting, done, running, now = list(steps), set[str](), dict[str, float](), 0.0
    while waiting or running:
        for id_ in [id_ for id_, end in running.items() if end <= now]:
            done.add(id_)
            del running[id_]
        ready = [step for step in waiting if done.issuperset(step.inputs.values())]
        beside = next((step for step in ready if apart(step)), None)
        here = next((step for step in ready if not apart(step)), None)
        if beside is not None and len(running) < at_once:
            waiting.remove(beside)
            running[beside.id] = now + seconds[beside.id]
        elif here is not None:
            waiting.remove(here)
            now += seconds[here.id]
            done.add(here.id)
        elif running:
            now = min(running.values())
        elif waiting:
            raise ValueError(f"{waiting[0].id} waits for what is not among the steps")
    return now
