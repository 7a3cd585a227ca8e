"""Forte 2021, equation 7, with rounding to 8 bits: a tenth of the time that the same takes in torch, by numba.

Imports numba: import it after `pymatting_methods.method` has loaded that with the process's threads kept.
"""

from __future__ import annotations

from typing import no_type_check

import numba
import numpy as np

F4 = np.float32


@numba.njit(
    "void(u1[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], i8[::1], f4[::1], u1[:,::1])",
    cache=True,
    nogil=True,
    fastmath=True,
)
@no_type_check  # numba compiles the function itself, not one that checks its arguments
def restore(
    seen: np.ndarray,
    alpha: np.ndarray,
    fronts: np.ndarray,
    backs: np.ndarray,
    above: np.ndarray,
    shares: np.ndarray,
    found: np.ndarray,
) -> None:
    """Write one channel of n rows, found (n, W), of seen and alpha (n, W), F' and B' (k, W); alpha, F', B' in [0, 1].

    Row y of F' and B' lies between their rows above[y] and above[y] + 1, the latter with the weight shares[y].
    """
    for y in range(len(alpha)):
        share, i, line = shares[y], above[y], found[y]
        front0, front1, back0, back1 = fronts[i], fronts[i + 1], backs[i], backs[i + 1]
        for x in range(len(line)):
            front = front0[x] + share * (front1[x] - front0[x])
            back = back0[x] + share * (back1[x] - back0[x])
            a = alpha[y, x]
            colour = front + a * (seen[y, x] * F4(1 / 255) - back - a * (front - back))
            line[x] = np.uint8(np.int32(min(max(colour, F4(0)), F4(1)) * F4(255) + F4(0.5)))
