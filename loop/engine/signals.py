"""Clean stops after SIGINT and SIGTERM: the handler sets a flag, which is polled at places where stopping is safe.

Doing work in the handler hangs: when one rank alone is signalled, its handler waits in a broadcast for ranks that are
in the middle of a step. Fits agree on the flag over all ranks at the end of a tick.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

EX_TEMPFAIL = 75
HANDLED = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """Stopped by a signal at a safe place; the same command goes on from there."""


class StopFlag:
    """The one flag of a process: set by a signal, or by a stop file that the orchestrator writes for its ranks."""

    def __init__(self) -> None:
        self.requested = False
        self.stop_file: Path | None = None
        self.request: Path | None = None
        """The file by which a door asks the orchestrator to stop."""
        self.interrupts = 0
        self.at_once: list[Callable[[], None]] = []
        """What a second Ctrl-C calls."""

    def handle(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True
        if signum == signal.SIGINT and self.stop_file is None:
            self.interrupts += 1
            if self.interrupts > 1:
                self._end_at_once()
            _say("stopping at the next safe place; Ctrl-C again stops at once")

    def _end_at_once(self) -> None:
        for action in list(self.at_once):
            with suppress(OSError):
                action()
        _say("stopped at once; the same command goes on from the last checkpoint")
        os._exit(EX_TEMPFAIL)


_flag = StopFlag()
_depth = 0


def stop_requested() -> bool:
    """True once this process, or the orchestrator of this rank, was asked to stop. Costs at most two stat()."""
    if not _flag.requested:
        _flag.requested = any(file is not None and file.exists() for file in (_flag.stop_file, _flag.request))
    return _flag.requested


def listen_to(request: Path | None) -> None:
    """Stop, as after a signal, once the file `request` exists; None: no more."""
    _flag.request = request


def stop_point(where: str = "stopped") -> None:
    """Raise Stopped if a stop was asked for: for the loops of stages with nothing to agree over ranks."""
    if stop_requested():
        raise Stopped(where)


def install() -> None:
    """(Re)install the handlers, for example after a library put its own in. Does nothing outside the main thread."""
    if threading.current_thread() is threading.main_thread():
        for signum in HANDLED:
            signal.signal(signum, _flag.handle)


def install_in_worker(stop_file: Path) -> None:
    """In a stage's own process: the flag is set by a signal or by `stop_file`, and Ctrl-C never kills at once."""
    _flag.stop_file = stop_file
    install()


def at_second_interrupt(action: Callable[[], None]) -> None:
    """Call `action` (quick, such as a kill) when Ctrl-C is pressed a second time, just before this process ends."""
    _flag.at_once.append(action)


def forget(action: Callable[[], None]) -> None:
    """Undo `at_second_interrupt`, if it is not undone yet."""
    with suppress(ValueError):
        _flag.at_once.remove(action)


@contextmanager
def handled() -> Iterator[None]:
    """Install the handlers; at the end of the outermost use put the previous ones back and lower the flag."""
    global _depth
    in_main = threading.current_thread() is threading.main_thread()
    previous: dict[signal.Signals, Any] = {signum: signal.getsignal(signum) for signum in HANDLED}
    install()
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0:
            _flag.requested, _flag.interrupts = False, 0
        if in_main:
            for signum, handler in previous.items():
                signal.signal(signum, handler if handler is not None else signal.SIG_DFL)


def _say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"\n{text}\n".encode())  # print() is not safe inside a signal handler
