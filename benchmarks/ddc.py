"""What the banded distance consistency gains over its unfold reference: time and memory, in one run on this machine.

    python -m benchmarks.ddc [--size 512] [--batch 1] [--variant ddc] [--band-rows 0] [--repeats 3]

Every row is a process of its own with one thread. Seconds are process time of the best of some runs after the first;
memory is what the peak resident size grows by over the process with its inputs, in the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

MODES = ("forward", "forward + backward")


def peak_bytes() -> int:
    """The most memory that this process has had so far (VmHWM; the kernel's own count)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def measure(args: argparse.Namespace) -> None:
    """In the child: one way, one mode; prints JSON."""
    import torch

    from stylematte.config import DdcVariant
    from stylematte.losses.ddc import PAPER, Sweep, ddc

    config = replace(PAPER, variant=DdcVariant(args.variant))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    image = torch.rand(args.batch, 3, args.size, args.size)
    alpha = torch.rand(args.batch, 1, args.size, args.size, requires_grad=args.mode == MODES[1])

    def work(size: int) -> float:
        part = alpha[..., :size, :size]
        sweep = Sweep(band_rows=args.band_rows, reference=args.way == "reference")
        loss = ddc(image[..., :size, :size], part, None, config, sweep).mean()
        if args.mode == MODES[1]:
            loss.backward()
        return loss.item()

    work(16)  # what torch loads on first use is not the loss's
    before, times, grown = peak_bytes(), [], 0
    for run in range(args.repeats):
        start = time.process_time()
        value = work(args.size)
        times.append(time.process_time() - start)
        grown = grown or (peak_bytes() - before if run == 0 else 0)
    print(json.dumps({"seconds": min(times), "bytes": grown, "value": value}))


def child(args: argparse.Namespace, way: str, mode: str) -> dict[str, float]:
    words = ["--way", way, "--mode", mode]
    for name in ("size", "batch", "variant", "band_rows", "repeats"):
        words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ddc", *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--variant", default="ddc")
    parser.add_argument("--band-rows", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        return measure(args)
    title = f"{args.variant}, {args.batch} x {args.size}^2"
    print(f"{title:22} {'reference':>10} {'fast':>10} {'ratio':>7} {'reference':>12} {'fast':>12} {'fast/ref':>9}")
    for mode in MODES:
        slow, fast = (child(args, way, mode) for way in ("reference", "fast"))
        assert abs(slow["value"] - fast["value"]) < 1e-6, (slow, fast)
        gigabytes = [part["bytes"] / 2**30 for part in (slow, fast)]
        print(
            f"{mode:22} {slow['seconds']:9.3f}s {fast['seconds']:9.3f}s {slow['seconds'] / fast['seconds']:6.1f}x "
            f"{gigabytes[0]:8.3f} GiB {gigabytes[1]:8.3f} GiB {gigabytes[1] / gigabytes[0]:9.3f}"
        )


if __name__ == "__main__":
    main()
