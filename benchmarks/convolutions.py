"""Winograd's algorithm against oneDNN's direct convolution, in one run, and how far their outputs differ.

    python -m benchmarks.convolutions layers  [--rounds 5]   the 3 x 3 convolutions of the quickstart and of T-256
    python -m benchmarks.convolutions step    [--batch 16]   the phases of the quickstart's training step
    python -m benchmarks.convolutions forward [--base 32768] [--most 512] [--resolution 256]   StyleGAN3-T, one picture

Everything else is the C++ ops on both sides. Medians of process time, one thread, the sides in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.generator_ops import training
from stylemattegan.networks import Generator
from stylemattegan.ops import keep_big_blocks, set_default
from stylemattegan.ops.convolution_algorithms import Form, convolved, input_gradient, set_winograd, weight_gradient
from stylemattegan.ops.cpu import channels_last
from stylemattegan.ops.measure import interleaved

# pictures, channels in and out, samples along an edge, padding
LAYERS = {
    "quickstart G": [
        (16, 32, 32, 24, 2),
        (16, 32, 32, 40, 2),
        (16, 32, 20, 40, 2),
        (16, 20, 13, 72, 2),
    ],
    "quickstart D": [
        (16, 16, 16, 32, 1),
        (16, 32, 32, 16, 1),
        (16, 64, 64, 8, 1),
        (16, 65, 64, 4, 1),
    ],
    "official G": [(1, 512, 512, 36, 2), (1, 512, 512, 84, 0), (1, 512, 362, 148, 2), (1, 181, 128, 276, 2)],
}


def in_turns(work: Callable[[], object], rounds: int) -> str:
    """Times of `work` without and with Winograd's algorithm."""

    def side(enabled: bool) -> None:
        set_winograd(enabled)
        work()

    taken = interleaved({"direct": lambda: side(False), "fast": lambda: side(True)}, rounds, time.process_time)
    slow, quick = (1e3 * seconds for seconds in taken.values())
    return f"{slow:8.2f} -> {quick:8.2f} ms  {slow / quick:5.2f}x"


def both(work: Callable[[], Tensor], rounds: int) -> str:
    """As `in_turns`, and the largest difference between the two results by the largest value."""
    set_winograd(False)
    direct = work()
    set_winograd(True)
    apart = float((direct - work()).abs().max() / direct.abs().max())
    return f"{in_turns(work, rounds)}  apart {apart:.0e}"


def layers(args: argparse.Namespace) -> None:
    for name, shapes in LAYERS.items():
        for n, inputs, outputs, size, padding in shapes:
            form = Form(size, size, 3, 3, 1, padding)
            x, w = channels_last(torch.randn(n, inputs, size, size)), torch.randn(outputs, inputs, 3, 3)
            g = channels_last(torch.randn(n, outputs, size + 2 * padding - 2, size + 2 * padding - 2))
            print(f"{name}: {n} x {inputs} -> {outputs}, {size}, padding {padding}")
            print("    forward ", both(lambda: convolved(x, w, None, form), args.rounds))  # noqa: B023
            print("    by input", both(lambda: input_gradient(g, w, form), args.rounds))  # noqa: B023
            print("    by weight", both(lambda: weight_gradient(x, g, form), args.rounds), flush=True)  # noqa: B023


def step(args: argparse.Namespace) -> None:
    phases, _ = training(args.batch)
    for name, work in phases.items():  # that the outputs agree, `layers` and `forward` show
        print(f"{name:3}", in_turns(work, args.rounds), flush=True)


def forward(args: argparse.Namespace) -> None:
    G, z = Generator(512, 512, args.resolution, channel_base=args.base, channel_max=args.most), torch.randn(1, 512)

    def work() -> Tensor:
        with torch.no_grad():
            return G(z)

    print(f"T {args.resolution}, {args.base}, {args.most}:", both(work, args.rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["layers", "step", "forward"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--base", type=int, default=32768)
    parser.add_argument("--most", type=int, default=512)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_big_blocks()
    set_default("cpu")
    {"layers": layers, "step": step, "forward": forward}[args.what](args)


if __name__ == "__main__":
    main()
