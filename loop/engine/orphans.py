"""Ends a stage's processes when the loop that started them dies, also by `kill -9`: none may write into scratch.

On Linux the kernel sends SIGKILL when the parent dies (PR_SET_PDEATHSIG); everywhere a thread watches as well,
because torchrun's agent stands between the orchestrator and the ranks.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> Callable[[], None]:
    """For Popen(preexec_fn=...): the child dies when `parent`, the caller, does. The setting survives exec."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def watch(orchestrator: int, every: float = 1.0) -> None:
    """In a stage's process: die when the parent dies or the orchestrator is gone."""
    parent = os.getppid()
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while os.getppid() == parent and is_alive(orchestrator):
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=look, name="orphan-watch", daemon=True).start()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
