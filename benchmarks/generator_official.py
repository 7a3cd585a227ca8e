"""The generator's speed and memory against the official code, in one run on this machine.

    python -m benchmarks.generator_official [ROW ...] --official DIR [--threads 2] [--rounds 3]

DIR is a checkout of NVlabs/stylegan3 (its licence forbids commercial use; nothing of it is copied here); without it
those columns are left out. Every cell is a process of its own, `rounds` of them, the sides in turns so that whatever
else the machine does falls on all; medians of wall time, and the peak of resident memory above what the process held
before the first pass. Columns:

    official   as shipped
    tuned      the official code with malloc set to keep big blocks: compares the algorithms alone
    reference  our plain path, with big blocks kept wherever gradients are taken, as a fit does
    cpu        our C++ ops, the same
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
SIDES = ("official", "tuned", "reference", "cpu")
R1_EVERY = 16


class Row(NamedTuple):
    """What is measured; repeats: passes in one process, after one to warm up."""

    work: str
    channels: str
    resolution: int
    batch: int
    repeats: int


ROWS = {
    "lrelu": Row("lrelu", "official", 256, 1, 1),
    "lrelu+backward": Row("lrelu+backward", "official", 256, 1, 1),
    "forward": Row("forward", "official", 256, 1, 1),
    "forward-small": Row("forward", "small", 256, 1, 3),
    "backward": Row("forward+backward", "official", 256, 1, 1),
    "backward-small": Row("forward+backward", "small", 256, 1, 1),
    "sample": Row("forward", "small", 256, 4, 2),
    "step-64": Row("step", "small", 64, 8, 1),
    "step-128": Row("step", "small", 128, 8, 1),
}


def measure(row: Row, side: str, args: argparse.Namespace) -> dict[str, Any]:
    """One cell's process."""
    task = row._asdict() | {"side": "official" if side == "tuned" else side}
    task |= {"threads": args.threads, "folder": str(args.official)}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    environment |= {"OMP_NUM_THREADS": str(args.threads)} | (KEEP if side == "tuned" else {})
    command = [sys.executable, "-m", "benchmarks.generator_works", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}, {row}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def whole(found: dict[str, Any], clock: str) -> float:
    """Seconds of the work; for a training step the phases together, R1 by its share."""
    return sum(taken / (R1_EVERY if name == "R1" else 1) for name, taken in found[clock].items())


def show(name: str, row: Row, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Print a row and return it. Ratios: of medians of wall time, and of process time, which others disturb less."""
    sides: dict[str, Any] = {"row": name, **row._asdict()}
    for side, each in found.items():
        taken = {clock: statistics.median(whole(f, clock) for f in each) for clock in ("seconds", "cpu")}
        sides[side] = taken | {"mb": statistics.median(f["mb"] for f in each), "per_s": row.batch / taken["seconds"]}
    cells = [
        f"{side} {sides[side]['seconds']:.3f} s ({sides[side]['cpu']:.3f} CPU-s, {sides[side]['per_s']:.2f}/s, "
        f"{sides[side]['mb']:.0f} MB)"
        for side in found
    ]
    fast = sides["cpu"]
    ratios = [
        f"{side}/cpu {sides[side]['seconds'] / fast['seconds']:.1f}x (CPU-s {sides[side]['cpu'] / fast['cpu']:.1f}x), "
        f"memory {fast['mb'] / max(sides[side]['mb'], 1e-9):.0%}"
        for side in found
        if side != "cpu"
    ]
    print(name, *cells, *ratios, sep="\n    ", flush=True)
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--official", type=Path, metavar="DIR", help="a checkout of NVlabs/stylegan3")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="columns; cpu is always measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    args = parser.parse_args()
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"unknown row {unknown[0]}: expected some of {', '.join(ROWS)}")
    named = [side for side in SIDES if side in (args.sides or SIDES) or side == "cpu"]
    sides = [side for side in named if args.official or side in ("reference", "cpu")]
    if args.official:
        args.official = args.official.resolve()
    rows = []
    for name in args.rows or ROWS:
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side in sides:
                found[side].append(measure(ROWS[name], side, args))
        rows.append(show(name, ROWS[name], found))
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
