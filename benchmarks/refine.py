"""Refinement of alphas: its seconds a megapixel, and what it mends beside two plainer ways, on a folder of alphas.

    python benchmarks/refine.py [--alphas FOLDER] [--seeds 3]

Without a folder the alphas are drawn. They are taken for true: spoilt as generators spoil them
(`stylematte.refine.artefacts`), mended, and compared. SAD is the sum of absolute differences over 1000.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from stylematte.data.drawn.dataset import draw
from stylematte.imagefile import read_alpha
from stylematte.inference.photos import pictures_in
from stylematte.refine.alpha import refine_alpha
from stylematte.refine.artefacts import CURABLE, HOPELESS, Artefact, corrupt

MIXED = [CURABLE[name] for name in ("translucent core", "haze", "specks", "holes")]
SPOILT: dict[str, Sequence[Artefact]] = {
    "clean": [],
    **{name: [artefact] for name, artefact in CURABLE.items()},
    "core, haze, specks and holes": MIXED,
    "all of them": list(CURABLE.values()),
    **{name: [artefact] for name, artefact in HOPELESS.items()},
}


def clipped(alpha: np.ndarray) -> np.ndarray:
    """As after a chroma key: below 20/255 is 0, above 235/255 is 1."""
    return np.clip((alpha - 20 / 255) / (215 / 255), 0, 1)


def largest_component(alpha: np.ndarray) -> np.ndarray:
    """Alpha where the largest 8-connected component of alpha above 0.02 is."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.02).astype(np.uint8), connectivity=8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if len(stats) > 1 else -1
    return np.where(labels == largest, alpha, 0)


def quality(alphas: Sequence[np.ndarray], seeds: int) -> None:
    print("| spoilt by | before | levels clipped | largest component | refined | less | band change | accepted |")
    print("|---|---|---|---|---|---|---|---|")
    ways: Sequence[Callable[[np.ndarray], np.ndarray]] = (lambda a: a, clipped, largest_component)
    for name, artefacts in SPOILT.items():
        sads, changes, accepted = [], [], []
        for seed in range(seeds if artefacts else 1):
            for number, alpha in enumerate(alphas):
                spoilt = corrupt(alpha, artefacts, np.random.default_rng((seed, number)))
                refined, figures, verdict = refine_alpha(spoilt)
                sads.append([np.abs(each - alpha).sum() / 1000 for each in (*(way(spoilt) for way in ways), refined)])
                changes.append(figures.band_change)
                accepted.append(verdict.accepted)
        before, clip, largest, after = np.mean(sads, 0)
        less = f"{1 - after / before:.1%}" if artefacts else "-"
        row = f"| {name} | {before:.3f} | {clip:.3f} | {largest:.3f} | {after:.3f} | {less} |"
        print(f"{row} {np.mean(changes):.4f} | {sum(accepted)} of {len(accepted)} |", flush=True)


def speed(alpha: np.ndarray, repeats: int = 7) -> None:
    large = cv2.resize(alpha, (1024, 1024), interpolation=cv2.INTER_LINEAR)
    for name, artefacts in (("clean", []), ("spoilt", list(CURABLE.values()))):
        spoilt = corrupt(large, artefacts, np.random.default_rng(0))
        seconds = []
        for _ in range(repeats):
            start = time.process_time()
            refine_alpha(spoilt)
            seconds.append(time.process_time() - start)
        print(f"{name}, 1024 x 1024: {np.median(seconds):.3f} CPU s (median of {repeats}, one thread)")


def drawn(count: int = 8, size: int = 384) -> list[np.ndarray]:
    return [draw(subject, seed, size).alpha[0].numpy() for subject in ("portrait", "animal") for seed in range(count)]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphas", type=Path, help="a folder of alphas that are taken for true (default: drawn)")
    parser.add_argument("--only", default="", help="of that folder, files whose names begin so, words apart by commas")
    parser.add_argument("--seeds", type=int, default=3, help="times that each alpha is spoilt")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    begins = tuple(args.only.split(","))
    files = [file for file in pictures_in(args.alphas) if file.name.startswith(begins)] if args.alphas else []
    alphas = [read_alpha(file)[0].numpy() for file in files] or drawn()
    speed(alphas[0])
    print(f"{len(alphas)} alphas, {args.seeds} seeds; SAD / 1000, means\n")
    quality(alphas, args.seeds)


if __name__ == "__main__":
    main()
