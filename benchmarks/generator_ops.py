"""How much the generator's ops gain, in one run on this machine: reference, torch and cpu (C++) taken in turns.

    python -m benchmarks.generator_ops ops        [--threads 1] [--rounds 5]   each op, forward + backward
    python -m benchmarks.generator_ops step       [--threads 1] [--batch 8]    the quickstart's training step
    python -m benchmarks.generator_ops forward    [--resolution 256]           StyleGAN3-T with few channels
    python -m benchmarks.generator_ops profile    [--impl cpu]                 where the training step's time goes

Prints medians: process time (CPU) with one thread, wall time with more. All sides use the tuned allocator.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from loop.config.load import load_config
from stylemattegan.networks import Generator
from stylemattegan.ops import keep_big_blocks, set_default
from stylemattegan.ops.measure import compare, interleaved
from stylemattegan.training import losses
from stylemattegan.training.start import build

QUICKSTART = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
IMPLS = ("reference", "torch", "cpu")
Work = Callable[[], None]


def training(batch: int) -> tuple[dict[str, Work], int]:
    """The phases of a training step of the quickstart's networks without augmentation, and the steps between R1s."""
    config = load_config(QUICKSTART, [])
    fit, size = config.generator.fit, config.data.size
    G, D = build(config.generator.network, size, batch, 0)
    g_adam, d_adam = (torch.optim.Adam(n.parameters(), lr=1e-4, betas=(0.0, 0.99), fused=True) for n in (G, D))
    real = torch.randn(batch, 4, size, size).clamp(-1, 1)

    def update(adam: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        adam.step()

    def generator() -> None:
        D.requires_grad_(False)
        G.requires_grad_(True)
        update(g_adam, losses.logistic_g(D(G(torch.randn(batch, G.z_dim)))).mean())

    def discriminator() -> None:
        D.requires_grad_(True)
        with torch.no_grad():
            fake = G(torch.randn(batch, G.z_dim), update_emas=True)
        update(d_adam, losses.logistic_d_fake(D(fake)).mean() + losses.logistic_d_real(D(real)).mean())

    def r1() -> None:
        D.requires_grad_(True)
        x = real.clone().requires_grad_()
        update(d_adam, losses.r1_penalty(x, D(x)).mean())

    return {"G": generator, "D": discriminator, "R1": r1}, int(fit.r1_every)


def with_impl(impl: str, work: Work) -> Work:
    def run() -> None:
        set_default(impl)
        work()

    return run


def in_turns(args: argparse.Namespace, clock: Callable[[], float], work: Work) -> dict[str, float]:
    return interleaved({impl: with_impl(impl, work) for impl in args.impls}, args.rounds, clock)


def show(name: str, seconds: dict[str, float], unit: str = "", count: int = 0) -> None:
    cells = [f"{impl} {taken * 1e3:9.1f} ms" for impl, taken in seconds.items()]
    last, fast = list(seconds.items())[-1]
    ratios = [f"{slow}/{last} {taken / fast:5.2f}x" for slow, taken in seconds.items() if slow != last]
    speeds = [f"{count / taken:.1f}" for taken in seconds.values()] if unit else []
    print(f"{name:16}", *cells, *ratios, f"{' / '.join(speeds)} {unit}" if unit else "", sep="  ")


def step(args: argparse.Namespace, clock: Callable[[], float]) -> None:
    phases, every = training(args.batch)
    whole = dict.fromkeys(args.impls, 0.0)
    for name, work in phases.items():
        taken = in_turns(args, clock, work)
        show(name, taken)
        for impl in args.impls:
            whole[impl] += taken[impl] / (every if name == "R1" else 1)
    show(f"R1 every {every}", whole, "images/s", args.batch)


def forward(args: argparse.Namespace, clock: Callable[[], float]) -> None:
    G = Generator(512, 512, args.resolution, channel_base=8192, channel_max=128)
    z = torch.randn(1, 512)

    def work() -> None:
        with torch.no_grad():
            G(z)

    show(f"T {args.resolution}, small", in_turns(args, clock, work), "images/s", 1)


def profile(args: argparse.Namespace) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    phases, _ = training(args.batch)
    set_default(args.impl)
    for name, work in phases.items():
        work()
        with record(activities=[ProfilerActivity.CPU]) as found:
            for _ in range(args.rounds):
                work()
        print(name, found.key_averages().table(sort_by="self_cpu_time_total", row_limit=15), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ops", "step", "forward", "profile"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--impls", choices=IMPLS, nargs="+", default=list(IMPLS), help="what is compared")
    parser.add_argument("--impl", choices=IMPLS, default="cpu", help="what is profiled")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_big_blocks()
    torch.manual_seed(0)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    if args.what == "ops":
        for found in compare(tuple(args.impls), args.rounds):
            show(found.op, found.seconds)
    elif args.what == "profile":
        profile(args)
    else:
        {"step": step, "forward": forward}[args.what](args, clock)


if __name__ == "__main__":
    main()
