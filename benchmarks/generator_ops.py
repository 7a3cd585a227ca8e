"""How much the fast ops of the generator gain over their reference, in one run on this machine.

    python -m benchmarks.generator_ops [--resolution 64] [--layers 10] [--margin 6] [--batch 8] [--threads 2]

Prints seconds of process time (CPU) or wall time (threads > 1) per batch, and the ratio reference / fast, for the
generator and the discriminator, forward and forward + backward. Both sides use the tuned allocator.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from stylemattegan.losses import r1_penalty
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.ops import keep_big_blocks, set_default


def seconds(work: Callable[[], object], clock: Callable[[], float], repeats: int = 3) -> float:
    """The best of a few runs after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def works(G: Generator, D: Discriminator, batch: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    z = torch.randn(batch, G.z_dim)
    images = torch.randn(batch, G.img_channels, G.img_resolution, G.img_resolution)

    def forward() -> None:
        with torch.no_grad():
            G(z)

    def train(network: nn.Module, given: torch.Tensor) -> None:
        network.zero_grad()
        network(given).square().sum().backward()

    def r1() -> None:
        D.zero_grad()
        x = images.clone().requires_grad_()
        r1_penalty(x, D(x)).mean().backward()

    return {
        "G forward": forward,
        "G forward + backward": lambda: train(G, z),
        "D forward + backward": lambda: train(D, images),
        "D with R1": r1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--margin", type=int, default=6)
    parser.add_argument("--channel-base", type=int, default=1024)
    parser.add_argument("--channel-max", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_big_blocks()
    torch.manual_seed(0)
    channels = dict(channel_base=args.channel_base, channel_max=args.channel_max)
    G = Generator(64, 64, args.resolution, num_layers=args.layers, margin_size=args.margin, **channels)
    D = Discriminator(args.resolution, **channels)
    clock = time.process_time if args.threads == 1 else time.perf_counter
    print(f"{'batch of ' + str(args.batch):24} {'reference':>10} {'fast':>10} {'ratio':>7} {'fast, images/s':>15}")
    for name, work in works(G, D, args.batch).items():
        taken = {}
        for impl in ("reference", "fast"):
            set_default(impl)
            taken[impl] = seconds(work, clock)
        reference, fast = taken["reference"], taken["fast"]
        print(f"{name:24} {reference:9.3f}s {fast:9.3f}s {reference / fast:6.1f}x {args.batch / fast:15.1f}")


if __name__ == "__main__":
    main()
