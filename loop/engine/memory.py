"""Memory that this process uses now: resident, and on its GPU where torch is loaded and has one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """In bytes."""

    resident: int
    gpu: int = 0
    """Reserved by torch on its current device; 0 without a GPU."""


def memory_used() -> Memory:
    """Never fails; 0 where the system does not say."""
    resident = 0
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
    torch = sys.modules.get("torch")  # not imported here: the engine knows no torch
    gpu = 0
    if torch is not None:
        with suppress(AttributeError, RuntimeError):
            gpu = int(torch.cuda.memory_reserved()) if torch.cuda.is_initialized() else 0
    return Memory(resident, gpu)
