"""The gate on pairs: how well it tells good alphas from bad ones, on alphas that are known, and its pairs a second.

    python -m benchmarks.selection [--alphas FOLDER --only sgm,p3m] [--seeds 3]

Each alpha is left clean or spoilt as generators do (`stylematte.refine.artefacts`) by a random strength. A pair is good
if what would be learned from differs from the truth by less than --good of the subject's area. The gate refuses what
the rules say: those of `refine_pairs` on the refined alpha, those of `select` that need no matter, and disagreement
with an independent view of the subject: here the truth with an error of its own (its edge moved and blurred), since a
trained matter is no part of this.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from benchmarks.refine import drawn
from loop.config.schema import SelectConfig
from loop.stages.select import Thumbnails, apply_rules
from stylematte.imagefile import read_alpha
from stylematte.inference.photos import pictures_in
from stylematte.refine.alpha import refine_alpha
from stylematte.refine.artefacts import CURABLE, HOPELESS, corrupt, ghost

THRESHOLDS = (0.01, 0.02, 0.03, 0.05, 0.08)


class Case(NamedTuple):
    """One alpha as a generator might have given it: raw and refined errors, verdicts, disagreements."""

    raw: float
    refined: float
    refine_accepts: bool
    select_accepts: bool
    raw_gap: float
    refined_gap: float


def spoil(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clean one time in four, else spoilt by one or two artefacts of which some cannot be mended."""
    kinds = [*CURABLE.values(), *HOPELESS.values(), ghost, _wrong_edge, _lost_part]
    chosen = [kinds[k] for k in rng.choice(len(kinds), int(rng.integers(0, 3)), replace=False)]
    return corrupt(alpha, chosen if rng.random() > 0.25 else [], rng)


def independent_view(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a fair matter might say: the edge moved by up to 1 % and blurred by up to 1 % of the shorter side."""
    side = min(alpha.shape)
    moved = np.roll(alpha, rng.integers(-side // 100, side // 100 + 1, 2), (0, 1))
    return cv2.GaussianBlur(moved, (0, 0), 0.3 + rng.random() * side / 100)


def _wrong_edge(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The body grown or eaten by 1 to 4 % of the shorter side, with the same soft edge."""
    reach = 2 * round(rng.uniform(0.01, 0.04) * min(alpha.shape)) + 1
    return (cv2.dilate if rng.random() < 0.5 else cv2.erode)(alpha, np.ones((reach, reach), np.uint8))


def _lost_part(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A disc of 10 to 25 % of the shorter side around a point of the subject is gone."""
    rows, columns = np.nonzero(alpha > 0.5)
    at = int(rng.integers(len(rows)))
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    distance = np.hypot(y - rows[at], x - columns[at])
    return alpha * np.clip((distance - rng.uniform(0.1, 0.25) * min(alpha.shape)) / 3 + 0.5, 0, 1).astype(np.float32)


def cases(alphas: Sequence[np.ndarray], seeds: int) -> list[Case]:
    found = []
    for seed in range(seeds):
        for number, alpha in enumerate(alphas):
            rng = np.random.default_rng((seed, number))
            spoilt, view = spoil(alpha, rng), independent_view(alpha, rng)
            refined, _, verdict = refine_alpha(spoilt)
            area = float(alpha.sum())
            errors = [float(np.abs(each - alpha).sum()) / area for each in (spoilt, refined)]
            gaps = [float(np.abs(each - view).mean()) for each in (spoilt, refined)]
            found.append(Case(*errors, verdict.accepted, _select_accepts(spoilt), *gaps))
    return found


def _select_accepts(alpha: np.ndarray) -> bool:
    row = {"disagreement": 0.0}
    rgba = torch.from_numpy(np.broadcast_to(alpha, (4, *alpha.shape)).copy())
    apply_rules(row, rgba, SelectConfig(max_cut_sides=3), Thumbnails(), Thumbnails())
    return bool(row["kept"])


def table(found: Sequence[Case], good: float) -> None:
    gates: dict[str, tuple[Callable[[Case], bool], bool]] = {
        "none, raw alphas": (lambda case: True, False),
        "select's rules on shape, raw": (lambda case: case.select_accepts, False),
        "none, refined alphas": (lambda case: True, True),
        "refine's rules": (lambda case: case.refine_accepts, True),
    }
    for most in THRESHOLDS:
        gates[f"shape and disagreement <= {most}, raw"] = (_gate(most, refined=False), False)
        gates[f"refine's rules and disagreement <= {most}"] = (_gate(most, refined=True), True)
    print("| gate | kept | good among kept (precision) | kept of the good (recall) |\n|---|---|---|---|")
    for name, (gate, refined) in gates.items():
        truth = np.array([(case.refined if refined else case.raw) < good for case in found])
        kept = np.array([gate(case) for case in found])
        both = float((truth & kept).sum())
        print(f"| {name} | {kept.mean():.0%} | {both / max(kept.sum(), 1):.1%} | {both / max(truth.sum(), 1):.1%} |")


def _gate(most: float, refined: bool) -> Callable[[Case], bool]:
    if refined:
        return lambda case: case.refine_accepts and case.refined_gap <= most
    return lambda case: case.select_accepts and case.raw_gap <= most


def speed(count: int = 400, size: int = 256) -> None:
    """apply_rules on `count` pairs, 2000 kept before them; without reading files and without the matter's time."""
    rng = torch.Generator().manual_seed(0)
    kept = Thumbnails([torch.nn.functional.normalize(torch.randn(1024, generator=rng), dim=0) for _ in range(2000)])
    pictures = torch.rand(count, 4, size, size, generator=rng)
    pictures[:, 3] = torch.from_numpy(drawn(1, size)[0])
    start = time.process_time()
    for picture in pictures:
        apply_rules({"disagreement": 0.0}, picture, SelectConfig(max_similarity=1), kept, Thumbnails())
    print(f"select's rules at {size}: {count / (time.process_time() - start):.0f} pairs a CPU second\n")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphas", type=Path, help="a folder of alphas that are taken for true (default: drawn)")
    parser.add_argument("--only", default="", help="of that folder, files whose names begin so, words apart by commas")
    parser.add_argument("--seeds", type=int, default=3, help="times that each alpha is spoilt")
    parser.add_argument(
        "--good", type=float, default=0.03, help="error over the subject's area of a good pair, at most"
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    begins = tuple(args.only.split(","))
    files = [file for file in pictures_in(args.alphas) if file.name.startswith(begins)] if args.alphas else []
    alphas = [read_alpha(file)[0].numpy() for file in files] or drawn(16, 256)
    speed()
    found = cases(alphas, args.seeds)
    good = [
        np.mean([error < args.good for error in errors])
        for errors in zip(*((c.raw, c.refined) for c in found), strict=True)
    ]
    print(f"{len(found)} pairs of {len(alphas)} alphas; good: {good[0]:.0%} raw, {good[1]:.0%} refined\n")
    table(found, args.good)


if __name__ == "__main__":
    main()
