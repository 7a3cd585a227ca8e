"""What reading one file of weights may take: bounds for the reading process, for a pickle, and for its tensors.

Bounds grow with the file, so that a small file cannot ask for much and a large one can be read.
"""

from __future__ import annotations

import contextlib
import resource

MIB = 2**20
LARGEST_FILE = 16 * 1024 * MIB
MEMORY = 512 * MIB
"""Address space of the reading process, and MEMORY_PER_BYTE times the file's size."""
MEMORY_PER_BYTE = 4
CPU_SECONDS = 5
"""And one for each BYTES_PER_SECOND of the file."""
WALL_SECONDS = 30
BYTES_PER_SECOND = 32 * MIB
OPCODES = 1_000_000
"""Steps of one pickle. The recorded snapshot of the official code, of 32 x 32, has 27,241."""
SHORT = 2**16
"""Bytes and text longer than this stay where they lie in the file."""
INTEGER_BYTES = 32
VISITS = 1_000_000
"""Entries of dictionaries that are looked at."""
DEPTH = 16
"""Networks within networks."""
TENSORS = 20_000
AXES = 8
EXPANDED = 2
"""Tensors may share their bytes: together they may be so many times the file, and EXPANDED_MORE."""
EXPANDED_MORE = 16 * MIB
RESULT = 16 * MIB
"""Characters of JSON that the reading process may hand back, and bytes of a description beside weights."""
HEADER = 2 * MIB
"""Bytes of a safetensors file's header."""


def memory(size: int) -> int:
    return MEMORY + MEMORY_PER_BYTE * size


def cpu_seconds(size: int) -> int:
    return CPU_SECONDS + size // BYTES_PER_SECOND


def wall_seconds(size: int) -> int:
    """A wait that is nobody's computing (a disk that hangs) is given up after this."""
    return WALL_SECONDS + 4 * size // BYTES_PER_SECOND


def expanded(size: int) -> int:
    return EXPANDED * size + EXPANDED_MORE


def confine(size: int) -> None:
    """Bind this process to what reading a file of so many bytes may take. Cannot be undone."""
    bounds = {
        resource.RLIMIT_AS: memory(size),
        resource.RLIMIT_CPU: cpu_seconds(size),
        resource.RLIMIT_FSIZE: 2 * expanded(size) + RESULT,  # float16 becomes float32
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 64,
    }
    for kind, bound in bounds.items():
        with contextlib.suppress(ValueError, OSError):  # a lower bound is set already, or the system has none
            resource.setrlimit(kind, (bound, bound))
