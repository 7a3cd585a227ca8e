"""The generator's training beside the official code: time, memory and outputs, in one run on this machine.

    python -m benchmarks.generator_official [ROW ...] --official DIR [--threads 1] [--rounds 3] [--profile]

DIR is a checkout of NVlabs/stylegan3 (its licence forbids commercial use; nothing of it is copied here); without it
those columns are left out. Both sides have the same weights and inputs (benchmarks/generator_sides.py), and what they
give is compared: it must agree to `TOLERANCE`, or the row ends with the difference. Every cell is a process of its own,
`rounds` of them, the sides in turns so that whatever else the machine does falls on all; printed are medians of CPU and
of wall seconds and the peak of resident memory above what the process held before its first pass. Columns:

    official   as shipped
    tuned      the official code with malloc set to keep big blocks: compares the algorithms alone
    reference  our plain path, with big blocks kept wherever gradients are taken, as a fit does
    cpu        our C++ ops, the same

Rows are WORK-SIZE-BATCH, such as step-64-8 or step-256-official-4: a whole training step (G, D, R1 by its sixteenth,
ADA's augmentation with each transform at probability 0.2, running mean) of the small networks (channel_base 8192, at
most 128), or of the official ones (32768, 512). Other works: forward, forward+backward (of G), D, R1 (forward +
backward), lrelu (all filtered leaky ReLUs of T). --profile: where the time of the last column goes. --batch-gpu 4: the
official code works on 4 pictures at a time and adds up their gradients, for batches that do not fit in the memory.
Threads wait asleep on all sides, as in the loop's own processes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parents[1]
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30)}
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
SIDES = ("official", "tuned", "reference", "cpu")
WORKS = ("step", "forward", "forward+backward", "D", "R1", "lrelu")
R1_EVERY = 16
DEFAULT = ("step-64-8", "step-128-8", "step-256-4")
TOLERANCE = {"D/r1": 3e-3, "gradient of G": 1e-3, "gradient of D": 1e-3}
"""Largest difference by the largest value; 1e-4 for what is not named. D/r1 comes after two updates by Adam."""
IN_PARTS = {"D/loss": 1e-2, "D/r1": 1e-2}
"""With --batch-gpu: in parts, the official code moves G's running means once a part, which the D phase sees."""


class Row(NamedTuple):
    work: str
    channels: str
    resolution: int
    batch: int


def row_of(name: str) -> Row:
    """Raises ValueError for what is not WORK-SIZE-BATCH or WORK-SIZE-official-BATCH."""
    found = re.fullmatch(r"(.+?)-(\d+)(-official)?-(\d+)", name)
    if not found or found[1] not in WORKS:
        raise ValueError(name)
    return Row(found[1], "official" if found[3] else "small", int(found[2]), int(found[4]))


def measure(row: Row, side: str, args: argparse.Namespace, outputs: Path) -> dict[str, Any]:
    """One cell's process."""
    task = row._asdict() | {"side": "official" if side == "tuned" else side, "outputs": str(outputs)}
    task |= {"threads": args.threads, "folder": str(args.official), "repeats": args.repeats}
    task |= {"batch_gpu": args.batch_gpu if args.batch_gpu < row.batch else 0}
    task |= {"profile": args.profile and side == "cpu"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | ASLEEP
    environment |= {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    environment |= KEEP if side == "tuned" else {}
    command = [sys.executable, "-m", "benchmarks.generator_cell", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SystemExit(f"{side}, {row}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def apart(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """The largest difference of each output by its largest value."""
    return {name: float((found[name] - value).abs().max() / value.abs().max()) for name, value in expected.items()}


def demand_equal(name: str, differences: dict[str, dict[str, float]], tolerance: dict[str, float]) -> None:
    for side, by_name in differences.items():
        for output, value in by_name.items():
            if not value <= tolerance.get(output, 1e-4):
                raise SystemExit(f"{name}: {output} of {side} differs by {value:.1e} of its largest value")


def whole(found: dict[str, Any], clock: str) -> float:
    """Seconds of the work; for a training step the phases together, R1 by its share."""
    return sum(taken / (R1_EVERY if name == "R1" else 1) for name, taken in found[clock].items())


def summary(row: Row, each: list[dict[str, Any]]) -> dict[str, Any]:
    medians: dict[str, Any] = {
        clock: statistics.median(whole(found, clock) for found in each) for clock in ("cpu", "wall")
    }
    medians["phases"] = {name: statistics.median(found["cpu"][name] for found in each) for name in each[0]["cpu"]}
    medians["mb"] = statistics.median(found["mb"] for found in each)
    medians["per_s"] = row.batch / medians["cpu"]
    return medians | ({"profile": each[-1]["profile"]} if "profile" in each[-1] else {})


def show(name: str, sides: dict[str, Any], differences: dict[str, dict[str, float]]) -> None:
    fast = sides["cpu"]
    print(name)
    for side, found in sides.items():
        phases = ", ".join(f"{phase} {taken:.3f}" for phase, taken in found["phases"].items() if phase)
        ratio = f"{found['cpu'] / fast['cpu']:5.1f}x (wall {found['wall'] / fast['wall']:.1f}x)"
        size = f"{found['mb']:6.0f} MB, ours {fast['mb'] / max(found['mb'], 1e-9):4.0%}"
        print(f"  {side:9} {found['cpu']:8.3f} CPU-s {found['wall']:8.3f} s  {ratio}  {size}  {phases}")
    for side, by_name in differences.items():
        print(f"  {side} apart:", ", ".join(f"{output} {value:.0e}" for output, value in by_name.items()))
    if "profile" in fast:
        found = fast["profile"]
        print("  cpu:", ", ".join(f"{group} {share} %" for group, share in found["percent"].items()))
        floor = f"{found['tflop']:.3f} TFLOP of convolutions at {found['gflops']:.0f} GFLOP/s: {found['floor']:.2f} s"
        print(f"  floor: {floor} as direct sums, R1 whole")
    sys.stdout.flush()


def measured(name: str, row: Row, sides: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """All cells of a row, printed."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    differences: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for side in sides:
                found[side].append(measure(row, side, args, Path(folder) / side))
        first = sides[0]
        for side in sides[1:]:
            differences[side] = apart(load_file(Path(folder) / side), load_file(Path(folder) / first))
    medians = {side: summary(row, each) for side, each in found.items()}
    show(name, medians, differences)
    demand_equal(name, differences, TOLERANCE | (IN_PARTS if 0 < args.batch_gpu < row.batch else {}))
    return {"row": name, **row._asdict(), "sides": medians, "apart": differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(DEFAULT)} if none is named")
    parser.add_argument("--official", type=Path, metavar="DIR", help="a checkout of NVlabs/stylegan3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-gpu", type=int, default=0, help="of the official code in steps; default: the batch")
    parser.add_argument("--repeats", type=int, default=1, help="timed passes in one process")
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="columns; cpu is always measured")
    parser.add_argument("--profile", action="store_true", help="also say where the time of cpu goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    args = parser.parse_args()
    try:
        rows = {name: row_of(name) for name in args.rows or DEFAULT}
    except ValueError as error:
        parser.error(f"row {error}: expected WORK-SIZE-BATCH or WORK-SIZE-official-BATCH, WORK of {', '.join(WORKS)}")
    named = [side for side in SIDES if side in (args.sides or SIDES) or side == "cpu"]
    sides = [side for side in named if args.official or side in ("reference", "cpu")]
    if args.official:
        args.official = args.official.resolve()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, {args.threads} threads each")
    written = []
    for name, row in rows.items():
        written.append(measured(name, row, sides, args))
        if args.json:
            args.json.write_text(json.dumps(written, indent=1))
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
