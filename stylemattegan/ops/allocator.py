"""Memory settings of the C library (glibc's malloc): big blocks are kept instead of returned to the kernel.

By default glibc returns every freed block above 32 MB to the kernel, which zeroes it again for the next tensor. In
networks with large short-lived activations more time goes into page faults than into arithmetic.
"""

from __future__ import annotations

import ctypes
import sys

# parameter numbers from malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
INT_MAX = 2**31 - 1


def keep_big_blocks() -> bool:
    """Let malloc serve large blocks from its heap and never give them back. Returns whether it could be set.

    The price is a resident size that stays at its peak. Harmless to call twice; does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    trimmed = mallopt(M_TRIM_THRESHOLD, min(16 << 30, INT_MAX))
    kept = mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_MAX, 0)  # some versions refuse thresholds above 32 MB
    return bool(trimmed and kept)
