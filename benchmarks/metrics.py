"""How much the fast figures gain over their definitions, in one run on this machine.

    python -m benchmarks.metrics [--size 1080] [--repeats 9]

The pair: a disc with a frayed soft edge, and the same blurred with noise at the edge, both rounded to bytes; then the
same in full floats, where no two values are equal. Prints the best of some runs in milliseconds of one thread, the
ratio reference / fast, and how far the two values differ.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from scipy import ndimage

from stylematte import metrics
from stylematte.metrics import reference


def pair(size: int, in_bytes: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """prediction, truth and trimap, (size, size) float32: the edge is frayed as hair frays it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    fray = ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 300) * size / 300
    truth = np.clip((0.36 - np.hypot(y, x) + 0.03 * fray) * 12 + 0.5, 0, 1)
    soft = np.clip(ndimage.gaussian_filter(truth, 2) + 0.03 * rng.standard_normal(truth.shape) * (truth % 1 > 0), 0, 1)
    edge = ndimage.maximum_filter(truth, size // 50) - ndimage.minimum_filter(truth, size // 50)
    trimap = np.where(edge > 0, 0.5, truth)
    if in_bytes:
        soft, truth = np.round(soft * 255) / 255, np.round(truth * 255) / 255
    else:
        soft = 0.998 * soft + 0.001 + 1e-4 * rng.random(truth.shape)
    return soft.astype(np.float32), truth.astype(np.float32), trimap.astype(np.float32)


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The best of a few runs after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1080)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for in_bytes in (True, False):
        pred, truth, trimap = pair(args.size, in_bytes)
        print(f"{args.size} x {args.size}, {'bytes' if in_bytes else 'floats'}")
        print(f"{'':16} {'reference':>10} {'fast':>9} {'ratio':>7}  relative difference")
        for name in ("sad", "mse", "mad", "grad", "conn"):
            _line(name, pred, truth, repeats=args.repeats)
        _line("score_pair", pred, truth, repeats=args.repeats)
        _line("score_pair", pred, truth, trimap, repeats=args.repeats)


def _line(name: str, *arrays: np.ndarray, repeats: int) -> None:
    slow, fast = (getattr(module, name) for module in (reference, metrics))
    values = [function(*arrays) for function in (slow, fast)]
    first, second = (np.array(list(v.values()) if isinstance(v, dict) else [v]) for v in values)
    taken = [milliseconds(lambda f=function: f(*arrays), repeats) for function in (slow, fast)]  # type: ignore[misc]
    label = "all with trimap" if len(arrays) > 2 else name.replace("score_pair", "all five")
    difference = float(np.max(np.abs(second - first) / np.maximum(np.abs(first), 1e-12)))
    print(f"{label:16} {taken[0]:8.1f}ms {taken[1]:7.1f}ms {taken[0] / taken[1]:6.1f}x  {difference:.1e}")


if __name__ == "__main__":
    main()
