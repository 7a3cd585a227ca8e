"""One function over many items, in this process or in several.

    for item, result in spread(measure, pictures, workers=4):

A killed parent leaves no worker behind, and Ctrl-C is the parent's affair alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from stylematte.errors import UserError

T = TypeVar("T")
R = TypeVar("R")


class spread(Generic[T, R]):  # noqa: N801 - it is called and iterated like a function, and has a length for a bar
    """(item, function(item)) as they are done, len(items) of them.

    function and start must be importable by name, items and results picklable. `start(*given)` is called once in each
    process before its first item. One worker works here, in order. Raises UserError if a worker dies.
    """

    def __init__(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        workers: int = 1,
        start: Callable[..., None] | None = None,
        given: Sequence[Any] = (),
    ) -> None:
        self.function, self.items, self.workers, self.start, self.given = function, items, workers, start, given

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[tuple[T, R]]:
        return self._here() if self.workers <= 1 or len(self.items) <= 1 else self._apart()

    def _here(self) -> Iterator[tuple[T, R]]:
        if self.items and self.start is not None:
            self.start(*self.given)
        yield from ((item, self.function(item)) for item in self.items)

    def _apart(self) -> Iterator[tuple[T, R]]:
        from concurrent.futures import ProcessPoolExecutor, as_completed
        from concurrent.futures.process import BrokenProcessPool

        context = multiprocessing.get_context("spawn")  # a forked process would inherit PyTorch's threads, broken
        count = min(self.workers, len(self.items))
        pool = ProcessPoolExecutor(count, context, _begin, (self.start, self.given))
        try:
            waiting = {pool.submit(self.function, item): item for item in self.items}
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process ended by itself (out of memory?): type the same command with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(start: Callable[..., None] | None, given: Sequence[Any]) -> None:
    """In a new worker, before its first item."""
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start is not None:
        start(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()  # returns when it is gone, however it ended
    os.kill(os.getpid(), signal.SIGKILL)
