"""Work that overlaps: an iterator that runs ahead in a thread, and a consumer that runs behind in one.

Both queues are bounded, so memory is. An error in a thread is raised where its result is waited for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
DEPTH = 3
_END = object()
POLL = 0.1


def ahead(items: Iterable[T], depth: int = DEPTH) -> Iterator[T]:
    """`items`, of which up to `depth` are made beforehand. Closing this iterator ends the thread."""
    made: queue.Queue[Any] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                made.put(item, timeout=POLL)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:
            put((_END, error))
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


class Behind(Generic[T]):
    """Calls `work` with each item that was put, in order, in a thread. Use it in a `with`, which waits for the last."""

    def __init__(self, work: Callable[[T], None], depth: int = DEPTH) -> None:
        self.work, self.waiting = work, queue.Queue[Any](depth)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="behind", daemon=True)

    def __enter__(self) -> Behind[T]:
        self.thread.start()
        return self

    def put(self, item: T) -> None:
        """Raises what `work` raised."""
        if self.error is not None:
            raise self.error
        self.waiting.put(item)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self.error is None:
            self.error = InterruptedError()  # nothing of what waits is done any more
        self.waiting.put(_END)
        self.thread.join()
        if kind is None and self.error is not None:
            raise self.error

    def _run(self) -> None:
        while (item := self.waiting.get()) is not _END:
            if self.error is None:
                try:
                    self.work(item)
                except BaseException as error:
                    self.error = error
