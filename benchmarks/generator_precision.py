"""Fits of a generator with 16-bit layers beside float32 ones: time of a step, difference of pictures, distance.

    python -m benchmarks.generator_precision RUN [--domain portraits] [--steps 105] [--seeds 3] [--first-seed 0]
        [--threads 1] [--device cpu] [--kinds fp32 bf16]

RUN: a finished run (its round 1 labels are the training set, its round 0 matter gives the features, its configuration
the networks and the fit). The fits of a seed take turns tick by tick, so that whatever else the machine does falls on
all; times are those of the process on a CPU, of the wall on a GPU. Wide networks, for which a fit is mostly
convolutions, are timed beside them, on noise.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from loop.config.load import load_config
from loop.pools import kept_files
from stylematte.imagefile import read_rgba
from stylematte.networks.weights import load_matter
from stylematte.rgba import premultiply_about_grey
from stylemattegan.config import GeneratorFitConfig, GeneratorNetworkConfig, Precision
from stylemattegan.metrics.features import Blocks, collect, pooled
from stylemattegan.metrics.projections import projected_distances
from stylemattegan.networks.precision import set_half
from stylemattegan.sample import sample
from stylemattegan.training.module import HALF, GeneratorModule

WIDE = GeneratorNetworkConfig(512, 512, 2, 16384, 256, d_channel_base=16384, d_channel_max=256)


class Fit:
    """A fit without Lightning's Trainer: steps of `GeneratorModule` on batches of the training set by position."""

    def __init__(self, network: GeneratorNetworkConfig, fit: GeneratorFitConfig, pictures: Tensor, seed: int) -> None:
        self.module = GeneratorModule(network, fit, pictures.shape[-1], seed).to(pictures.device)
        self.optimizers = self.module.configure_optimizers()
        self.module.optimizers = lambda: self.optimizers  # type: ignore[method-assign, assignment]
        self.module.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign, assignment]
        self.module.log_dict = lambda values: None  # type: ignore[method-assign, assignment]
        self.pictures, self.seed = pictures, seed
        self.seconds: list[float] = []

    def run(self, steps: int) -> None:
        for _ in range(steps):
            generator = torch.Generator().manual_seed(self.seed * 100003 + self.module.step)
            rows = torch.randint(len(self.pictures), (self.module.batch,), generator=generator)
            real, start = self.pictures[rows.to(self.pictures.device)], clock(self.pictures.device)
            self.module.training_step(real, 0)
            self.seconds.append(clock(self.pictures.device) - start)


def clock(device: torch.device) -> float:
    """Seconds of this process; of the wall where a GPU works, when it is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def side_by_side(
    network: GeneratorNetworkConfig, fit: GeneratorFitConfig, pictures: Tensor, seed: int, kinds: list[Precision]
) -> list[Fit]:
    """The fits of every kind, made in turns of a tick."""
    fits = [Fit(network, replace(fit, precision=kind), pictures, seed) for kind in kinds]
    for _ in range(fit.steps // fit.tick):
        for each in fits:
            each.run(fit.tick)
    return fits


def times(fits: list[Fit], kinds: list[Precision]) -> str:
    each = [median(fit.seconds[1:]) for fit in fits]
    shown = (f"{kind.value} {s * 1000:.1f} ms, {each[0] / s:.2f}x" for kind, s in zip(kinds, each, strict=True))
    return f"a step: {'; '.join(shown)}"


def difference(fit: Fit, kind: Precision) -> float:
    """Of the pictures that one generator makes both ways: root mean square, as a part of their spread."""
    G = fit.module.G_ema
    z = torch.randn(16, G.z_dim, generator=torch.Generator().manual_seed(1)).to(fit.pictures.device)
    with torch.no_grad():
        set_half(G, None)
        exact = G(z)
        set_half(G, HALF[kind])
        rough = G(z)
        set_half(G, None)
    return float((exact - rough).square().mean().sqrt() / exact.std())


def features_of(matter: Any, pictures: Tensor) -> Blocks:
    features = pooled("round 0's matter", matter.encode, torch.device("cpu"))
    return collect(features, pictures.split(32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    parser.add_argument("--domain", default="portraits")
    parser.add_argument("--steps", type=int, default=105, help="a multiple of the configuration's tick")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kinds", nargs="+", type=Precision, default=[Precision.fp32, Precision.bf16])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = load_config(args.config, [f"generator.fit.steps={args.steps}"]).generator
    files = kept_files(args.run / "rounds" / "01" / args.domain / "label")
    straight = torch.stack([read_rgba(file) for file in files])
    matter = load_matter(args.run / "rounds" / "00" / "accept")
    real, encoded = features_of(matter, straight), premultiply_about_grey(straight).to(args.device)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        fits, found = side_by_side(config.network, config.fit, encoded, seed, args.kinds), []
        for fit in fits:
            made = sample(fit.module.G_ema.eval(), range(1, 257), [1.0] * 256, 32).cpu()
            found.append(projected_distances(features_of(matter, made), real, real).frechet)
        distances = ", ".join(f"{kind.value} {value:.3f}" for kind, value in zip(args.kinds, found, strict=True))
        apart = difference(fits[0], args.kinds[-1])
        print(f"seed {seed}: {times(fits, args.kinds)}; one generator both ways differs by {apart:.4f}", flush=True)
        print(f"seed {seed}: Frechet {distances}", flush=True)
    noise = torch.randn(64, 4, 128, 128).clamp(-1, 1).to(args.device)
    wide = side_by_side(WIDE, replace(config.fit, batch=4, steps=4, tick=1), noise, 0, args.kinds)
    print(f"wide at 128 x 128, batches of 4: {times(wide, args.kinds)}", flush=True)


if __name__ == "__main__":
    main()
