"""How well a pixel's reliability is known: disagreement of views against a small learned evaluator, by known alphas.

    python -m benchmarks.reliability RUN [--round N] [--seeds 4] [--steps 400]

The idea of a learned quality evaluator is MatAnyone 2's: a network that is shown a picture and an
alpha and says where the alpha is wrong, taught by errors that are known. Here: a run's held-out pictures, spoilt as in
`benchmarks.selection`, composed on new backgrounds and shown to the run's matter. A pixel's alpha is wrong if it is
off by more than 0.1. Both are made on one half of the pictures and measured on the other: the disagreement of
select.reliability mapped to a probability by its share of wrong pixels in 32 bins, and a network of three
convolutions of picture, alpha, the matter's alpha and that disagreement. Brier score, area under the ROC curve, and
expected calibration error (Guo et al. 2017, 15 bins) of the pixels of the other half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.selection import truths
from loop.pools import background_files, read_cutout
from stylematte.data.folders import centre_square
from stylematte.imagefile import read_rgb
from stylematte.inference.predict import pixel_agreement, predict_views
from stylematte.networks.weights import load_matter
from stylematte.refine.artefacts import spoil
from stylematte.rgba import composite
from stylematte.sampling import position_seed
from stylemattegan.framing import frame_cutout

WRONG = 0.1


class Seen(NamedTuple):
    """shown (N, 6, S, S): picture, alpha, the matter's alpha, disagreement; wrong (N, 1, S, S) 0 or 1."""

    shown: Tensor
    wrong: Tensor


def seen(run: Path, round_: int | None, seeds: int, size: int, half: int) -> Seen:
    """Every second held-out picture, beginning with `half`, spoilt `seeds` times."""
    data = run / "rounds/00/prepare"
    network = load_matter(sorted(run.glob("rounds/[0-9][0-9]/accept"))[-1 if round_ is None else round_])
    backgrounds = [centre_square(read_rgb(file), size) for file in background_files(data)]
    shown, wrong = [], []
    for row in truths(data)[half::2]:
        truth = frame_cutout(read_cutout(data, row), size)
        for seed in range(seeds):
            chance = position_seed(seed, row["id"])
            alpha = torch.from_numpy(spoil(truth[3].numpy(), np.random.default_rng(chance)).alpha)[None]
            image = composite(truth[:3], alpha, backgrounds[chance % len(backgrounds)])
            views = predict_views(network, image[None])
            gap = 1 - pixel_agreement(torch.cat([alpha[None, None], views]))[0]
            shown.append(torch.cat([image, alpha, views[0, 0], gap]))
            wrong.append(((alpha - truth[3:]).abs() > WRONG).float())
    return Seen(torch.stack(shown), torch.stack(wrong))


def by_bins(train: Seen, test: Seen, bins: int = 32) -> Tensor:
    """P(wrong) of the test pixels: the share of wrong training pixels with about the same disagreement."""
    which = (train.shown[:, 5:] * bins).long().clamp(0, bins - 1).flatten()
    counts = torch.bincount(which, minlength=bins)
    shares = torch.bincount(which, train.wrong.flatten(), bins) / counts.clamp_min(1)
    return shares[(test.shown[:, 5:] * bins).long().clamp(0, bins - 1)]


def by_evaluator(train: Seen, test: Seen, steps: int, batch: int = 16) -> Tensor:
    """P(wrong) of the test pixels by a network of three convolutions that was fitted to the training ones."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 5, padding=4, dilation=2), nn.ReLU()]
    evaluator = nn.Sequential(*layers, nn.Conv2d(16, 1, 5, padding=8, dilation=4))
    optimizer = torch.optim.Adam(evaluator.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        part = torch.randint(len(train.shown), (batch,))
        flips = [-1] if torch.rand(()) < 0.5 else []
        loss = nn.functional.binary_cross_entropy_with_logits(
            evaluator(train.shown[part].flip(flips)), train.wrong[part].flip(flips)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return torch.cat([torch.sigmoid(evaluator(part)) for part in test.shown.split(batch)])


def calibration(said: Tensor, wrong: Tensor, bins: int = 15) -> dict[str, float]:
    """Brier score, area under the ROC curve, expected calibration error."""
    p, y = said.flatten().double(), wrong.flatten().double()
    ranks = torch.searchsorted(p.sort().values, p, right=False) + torch.searchsorted(p.sort().values, p, right=True)
    positive, negative = float(y.sum()), float((1 - y).sum())
    area = (float((ranks.double() * y).sum()) / 2 - positive**2 / 2) / (positive * negative)
    which = (p * bins).long().clamp(0, bins - 1)
    sums = [torch.bincount(which, each, bins) for each in (p, y)]
    return {
        "Brier": float((p - y).square().mean()),
        "AUC": area,
        "ECE": float((sums[0] - sums[1]).abs().sum() / len(p)),
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder with prepared data and an accepted matter")
    parser.add_argument("--round", type=int, help="of the matter (default: the last)")
    parser.add_argument("--seeds", type=int, default=4, help="times that each alpha is spoilt")
    parser.add_argument("--steps", type=int, default=400, help="of the evaluator's fit")
    parser.add_argument("--size", type=int, default=64, help="side of the pairs in pixels")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    halves = [seen(args.run, args.round, args.seeds, args.size, half) for half in (0, 1)]
    print("| half | wrong pixels | by | Brier | AUC | ECE |\n|---|---|---|---|---|---|")
    for k, (train, test) in enumerate((halves, halves[::-1])):
        constant = train.wrong.mean().expand_as(test.wrong)
        for name, said in (
            ("nothing (their share)", constant),
            ("disagreement", by_bins(train, test)),
            ("evaluator", by_evaluator(train, test, args.steps)),
        ):
            values = calibration(said, test.wrong)
            figures = " | ".join(f"{value:.4f}" for value in values.values())
            print(f"| {k + 1} | {float(test.wrong.mean()):.1%} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
