"""Both networks on a GPU beside NVIDIA's own kernels: same weights, outputs compared, time and memory.

    python -m benchmarks.generator_gpu [--official DIR] [--resolutions 256 512] [--json FILE]

DIR is a checkout of NVlabs/stylegan3 (its licence forbids commercial use; nothing of it is copied here), whose CUDA
plugins are compiled at first use; without it those columns are left out. Official channels of StyleGAN3-T, 4 channels
of picture, TF32 off on all sides. Sides: official (cudnn.benchmark on, as it ships), ours (off, as our fits run), and
"ours, tuned" (on). Medians of CUDA events; peak of allocated memory above the weights. The error is the root mean
square of the difference from the official output, in its spread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import cpp_extension

from benchmarks.generator_sides import import_from, official_networks
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.training import losses

BATCH = {256: 16, 512: 8, 1024: 4}
HALF_OCTAVES = {"fp32": 0, "fp16": 4}
WARM_UP, REPEATS = 3, 9
Work = Callable[[], object]


class OfficialOnGpu:
    """The official package with its plugins, which torch no longer registers under the names they are asked for by."""

    def __init__(self, folder: str) -> None:
        import_from(folder)
        load = cpp_extension.load

        def registered(name: str, **arguments: Any) -> Any:
            sys.modules[name] = load(name=name, **arguments)
            return sys.modules[name]

        cpp_extension.load = registered


class Side:
    """G and D of one side at one resolution and precision, and what is measured of them."""

    def __init__(self, G: nn.Module, D: nn.Module, official: bool) -> None:
        self.G, self.D = G.cuda().train(), D.cuda().train()
        self.extra = (None,) if official else ()
        """The official networks ask for a label."""

    def picture(self, z: Tensor) -> Tensor:
        return self.G(z, *self.extra)

    def score(self, x: Tensor) -> Tensor:
        return self.D(x, *self.extra)

    def works(self, z: Tensor, x: Tensor) -> dict[str, Work]:
        def generator_backward() -> None:
            self.G.zero_grad(set_to_none=True)
            self.picture(z).float().square().mean().backward()

        def discriminator_backward() -> None:
            self.D.zero_grad(set_to_none=True)
            losses.logistic_d_real(self.score(x)).mean().backward()

        def r1() -> None:
            self.D.zero_grad(set_to_none=True)
            seen = x.detach().requires_grad_()
            losses.r1_penalty(seen, self.score(seen)).mean().backward()

        def sample() -> None:
            with torch.no_grad():
                self.picture(z)

        return {
            "G forward": sample,
            "G forward + backward": generator_backward,
            "D forward + backward": discriminator_backward,
            "D R1": r1,
        }


def sides(resolution: int, precision: str, official: OfficialOnGpu | None) -> dict[str, tuple[Side, bool]]:
    """Name -> (side, cudnn.benchmark). Ours takes the official weights where they are at hand."""
    halves = HALF_OCTAVES[precision]
    torch.manual_seed(0)
    G = Generator(512, 512, resolution, num_fp16_res=halves)
    D = Discriminator(resolution, num_fp16_res=halves)
    ours = Side(G, D, official=False)
    found = {"ours": (ours, False), "ours, tuned": (ours, True)}
    if official is None:
        return found
    theirs = official_networks(resolution, 32768, 512, halves)
    for own, their in zip((G, D), theirs, strict=True):
        their.load_state_dict(own.state_dict())
    return {"official": (Side(*theirs, official=True), True), **found}


def timed(work: Work) -> tuple[float, float]:
    """Median milliseconds, and peak megabytes above what was held before."""
    for _ in range(WARM_UP):
        work()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        taken.append(start.elapsed_time(end))
    return statistics.median(taken), (torch.cuda.max_memory_allocated() - before) / 1e6


def difference(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.double(), expected.double()
    return float((actual - expected).square().mean().sqrt() / expected.std())


def gradients(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten().float() for p in network.parameters() if p.grad is not None])


def outputs(side: Side, z: Tensor, x: Tensor) -> dict[str, Tensor]:
    """Pictures, logits, and the gradients of the weights of G and of D, R1's among them."""
    with torch.no_grad():
        found = {"G forward": side.picture(z).float()}
    works = side.works(z, x)
    for name, network in (("G forward + backward", side.G), ("D forward + backward", side.D), ("D R1", side.D)):
        works[name]()
        found[name] = gradients(network)
    return found


def rows(resolution: int, precision: str, official: OfficialOnGpu | None) -> list[dict[str, Any]]:
    """One row a work: milliseconds and megabytes by side, and the error against the first."""
    compared = sides(resolution, precision, official)
    z = torch.randn(BATCH[resolution], 512).cuda()
    x = torch.rand(BATCH[resolution], 4, resolution, resolution).cuda() * 2 - 1
    first = next(iter(compared.values()))[0]
    expected = outputs(first, z, x)
    actual = outputs(compared["ours"][0], z, x)
    found: list[dict[str, Any]] = []
    for name in first.works(z, x):
        row: dict[str, Any] = {"resolution": resolution, "precision": precision, "work": name}
        row["error"] = difference(actual[name], expected[name])
        for side, (one, benchmark) in compared.items():
            torch.backends.cudnn.benchmark = benchmark
            row[side] = timed(one.works(z, x)[name])
        found.append(row)
        show(row, list(compared))
    return found


def show(row: dict[str, Any], names: list[str]) -> None:
    base = row[names[0]][0]
    cells = [f"{name} {row[name][0]:8.2f} ms {row[name][1]:7.0f} MB {base / row[name][0]:5.2f}x" for name in names]
    head = f"{row['resolution']}² {row['precision']} batch {BATCH[row['resolution']]} {row['work']:<21}"
    print(head, *cells, f"error {row['error']:.1e}", sep=" | ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, metavar="DIR", help="a checkout of NVlabs/stylegan3")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 512], choices=sorted(BATCH))
    parser.add_argument("--precisions", nargs="+", default=list(HALF_OCTAVES), choices=list(HALF_OCTAVES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.generator_gpu: torch sees no GPU here")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    official = OfficialOnGpu(str(args.official.resolve())) if args.official else None
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "CUDA", torch.version.cuda, flush=True)
    found = []
    for resolution in args.resolutions:
        for precision in args.precisions:
            found += rows(resolution, precision, official)
            torch.cuda.empty_cache()
            if args.json:
                args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
