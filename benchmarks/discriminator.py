"""The discriminator's passes beside the official code's, in one process with equal weights, and how far they differ.

    python -m benchmarks.discriminator small|big ... --official DIR [--batch 4] [--rounds 3]   times
    python -m benchmarks.discriminator small|big ... --official DIR --memory                   peaks, a process each
    python -m benchmarks.discriminator small|big ... --profile                                 where ours goes, by op

big: 256 x 256, official channels, batch 4. small: the quickstart's at 64 x 64, batch 16. DIR: a checkout of
NVlabs/stylegan3, of which nothing is copied here. D: forward and backward to the weights; G: to the picture; R1: its
penalty and both backward passes. Medians of process time, one thread, the sides in turns; both keep big blocks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.generator_cell import memory
from benchmarks.generator_sides import import_from, official_networks
from stylemattegan.networks import Discriminator
from stylemattegan.ops import keep_big_blocks
from stylemattegan.ops.measure import interleaved
from stylemattegan.training import losses

ROOT = Path(__file__).parents[1]
Work = Callable[[], None]
SIZES = {"big": (256, 32768, 512, 4), "small": (64, 512, 64, 16)}
"""Resolution, channel base and most, batch."""


class Side:
    """One side's discriminator with the same weights and pictures as the other's."""

    def __init__(self, which: str, batch: int | None, official: Path | None) -> None:
        resolution, base, most, usual = SIZES[which]
        torch.manual_seed(0)
        ours = Discriminator(resolution, 4, channel_base=base, channel_max=most)
        self.x = torch.randn(batch or usual, 4, resolution, resolution)
        self.D: nn.Module = ours
        if official is not None:
            import_from(str(official))
            self.D = official_networks(resolution, base, most)[1]
            self.D.load_state_dict(ours.state_dict(), strict=False)  # but its filters, which both have
        self.also = () if official is None else (None,)

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.D(x, *self.also)
        return found

    def gradient(self) -> Tensor:
        """Of the logits by the pictures."""
        x = self.x.clone().requires_grad_()
        return torch.autograd.grad(self.logits(x).sum(), x)[0]

    def works(self) -> dict[str, Work]:
        def d() -> None:
            self.D.zero_grad(set_to_none=True)
            F.softplus(self.logits(self.x)).mean().backward()

        def g() -> None:
            self.D.requires_grad_(False)
            self.gradient()
            self.D.requires_grad_(True)

        def r1() -> None:
            self.D.zero_grad(set_to_none=True)
            x = self.x.clone().requires_grad_()
            losses.r1_penalty(x, self.logits(x)).mean().backward()

        return {"D": d, "G": g, "R1": r1}


def times(which: str, args: argparse.Namespace) -> None:
    ours, theirs = Side(which, args.batch, None), Side(which, args.batch, args.official)
    a, b = theirs.gradient(), ours.gradient()
    print(f"{which}: gradients by the picture {float((a - b).abs().max() / a.abs().max()):.0e} apart")
    for name, work in ours.works().items():
        both = {"official": theirs.works()[name], "ours": work}
        taken = interleaved(both, args.rounds, time.process_time)
        ratio = taken["official"] / taken["ours"]
        print(f"{which} {name}: {taken['official']:.4f} -> {taken['ours']:.4f} CPU-s  {ratio:.2f}x", flush=True)


def peaks(which: str, args: argparse.Namespace) -> None:
    """Of resident memory above what a process held before the pass."""
    for name in ("D", "G", "R1"):
        found = []
        for official in (args.official, None):
            command = [sys.executable, "-m", "benchmarks.discriminator", which, "--one", name]
            command += ["--batch", str(args.batch)] if args.batch else []
            command += ["--official", str(official)] if official else []
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{which} {name}: {found[0]:.0f} -> {found[1]:.0f} MB  {found[1] / found[0]:.0%}", flush=True)


def one(which: str, args: argparse.Namespace) -> None:
    work, before = Side(which, args.batch, args.official).works()[args.one], memory("VmRSS")
    work()
    print(json.dumps(memory("VmHWM") - before))


def profile(which: str, args: argparse.Namespace) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    for name, work in Side(which, args.batch, None).works().items():
        work()
        with record(activities=[ProfilerActivity.CPU]) as found:
            work()
        print(name, found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="+", choices=list(SIZES))
    parser.add_argument("--official", type=Path, metavar="DIR", help="a checkout of NVlabs/stylegan3")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.official or args.profile or args.one):
        parser.error("--official DIR is wanted for anything but --profile")
    args.official = args.official.resolve() if args.official else None
    torch.set_num_threads(1)
    keep_big_blocks()
    run = one if args.one else peaks if args.memory else profile if args.profile else times
    for which in args.which:
        run(which, args)


if __name__ == "__main__":
    main()
