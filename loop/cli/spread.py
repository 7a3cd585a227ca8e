"""One function over many items, in this process or in several."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from loop.engine.orphans import watch
from stylematte.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


def spread(
    function: Callable[[T], R], items: Sequence[T], workers: int, start: Callable[..., None], *given: Any
) -> Iterator[tuple[T, R]]:
    """(item, function(item)) as they are done. `start(*given)` is called once in each process before its first item.

    function and start must be importable by name, items and results picklable. One worker works here, in order.
    """
    if workers <= 1 or len(items) <= 1:
        start(*given)
        yield from ((item, function(item)) for item in items)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context("spawn")  # a forked process would inherit the threads of PyTorch, broken
    pool = ProcessPoolExecutor(min(workers, len(items)), context, _begin, (os.getpid(), start, given))
    try:
        waiting = {pool.submit(function, item): item for item in items}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process ended by itself (out of memory?): type the same command with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int, start: Callable[..., None], given: Sequence[Any]) -> None:
    """In a new worker: Ctrl-C is the parent's affair, and a killed parent leaves nobody behind."""
    watch(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start(*given)
