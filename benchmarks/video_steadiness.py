"""The video pipeline beside the same matter frame by frame, on made clips with exact alpha: a table with intervals.

    python benchmarks/video_steadiness.py runs/quickstart [--size 64] [--clips 12] [--seeds 3] [--rows rows.jsonl]

Clips are those of `stylematte make-clips` (seeds 0, 1, ... of each IN); mattes are not rounded. Beside the pipeline and
the matter alone: its alphas smoothed exponentially (0.6 of the frame, 0.4 of what came before), and the median of three
neighbouring frames (one frame late). Changes are against the matter alone, with the 95 % interval of a paired bootstrap
over clips. With --rows what was measured is kept and not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from stylematte import load
from stylematte.evaluate.statistics import paired_bootstrap
from stylematte.imagefile import to_uint8
from stylematte.inference.matter import Matter
from stylematte.jsonl import read_jsonl
from stylematte.video.clips import Clip, ClipOptions, parse_size
from stylematte.video.make_clips import Sources, planned
from stylematte.video.metrics import CLIP_FIGURES, ClipMetrics
from stylematte.video.steady import matte_frames

ALONE, PIPELINE = "frame by frame", "pipeline"
Alphas = list[np.ndarray]
Row = dict[str, Any]


def smoothed(alphas: Alphas, share: float = 0.6) -> Alphas:
    """Exponentially: `share` of the frame, the rest of the frames before."""
    found = alphas[:1]
    for alpha in alphas[1:]:
        found.append(share * alpha + (1 - share) * found[-1])
    return found


def median_of_three(alphas: Alphas) -> Alphas:
    """Of each frame and its two neighbours; the ends stay."""
    middle = [np.median(np.stack(alphas[i - 1 : i + 2]), 0) for i in range(1, len(alphas) - 1)]
    return [alphas[0], *middle, *alphas[1:][-1:]]


def ways(images: Sequence[np.ndarray], matter: Matter) -> Iterator[tuple[str, Alphas]]:
    """Name and alphas (H, W) of every way, of frames (H, W, 3) uint8."""
    alone = [matter(image) for image in images]
    yield ALONE, alone
    yield "smoothed", smoothed(alone)
    yield "median of three", median_of_three(alone)
    yield PIPELINE, [alpha[0].numpy() for alpha in matte_frames(images, matter)]


def measured(alphas: Alphas, truth: Alphas) -> dict[str, float]:
    metrics = ClipMetrics()
    for alpha, true in zip(alphas, truth, strict=True):
        metrics.update(alpha.astype(np.float32), true)
    return metrics.compute()


def rows_of(clip: Clip, seed: int, matter: Matter) -> Row:
    frames = [clip.frame(index) for index in range(clip.options.frames)]
    images = [to_uint8(torch.from_numpy(frame.image.transpose(2, 0, 1).copy())) for frame in frames]
    truth = [frame.alpha for frame in frames]
    found = {name: measured(alphas, truth) for name, alphas in ways(images, matter)}
    return {"clip": clip.name, "subject": clip.cutout(0).subject, "seed": seed, "ways": found}


def gather(matter: Matter, sources: Sources, options: Sequence[ClipOptions], file: Path | None) -> list[Row]:
    """A row for each clip of each seed; those in `file` are not made again."""
    rows = read_jsonl(file, growing=True) if file else []
    for each in options:
        for clip in planned(sources, each):
            if any((row["clip"], row["seed"]) == (clip.name, each.seed) for row in rows):
                continue
            rows.append(rows_of(clip, each.seed, matter))
            if file:
                with file.open("a") as lines:
                    lines.write(json.dumps(rows[-1]) + "\n")
    return rows


def table(rows: Sequence[Row], show: Callable[[str], None] = print) -> None:
    """Means, and changes of MAD and dtSSD against the matter alone, by subject."""
    show(
        "| | way | MAD x 1000 | MSE x 1000 | Grad | Conn | dtSSD | MAD | 95 % interval | dtSSD | 95 % interval | "
        "of each seed |"
    )
    show("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [row for row in rows if row["subject"] == subject]
        for way in own[0]["ways"]:
            show(f"| {subject} | {way} | " + " | ".join(_figures(own, way)) + " |")


def _figures(rows: Sequence[Row], way: str) -> list[str]:
    means = {figure: np.mean([row["ways"][way][figure] for row in rows]) for figure in CLIP_FIGURES}
    cells = [f"{means[figure] * (1000 if figure in ('MAD', 'MSE') else 1):.4g}" for figure in CLIP_FIGURES]
    if way == ALONE:
        return [*cells, *[""] * 5]
    for figure in ("MAD", "dtSSD"):
        change = paired_bootstrap(_by_clip(rows, way, figure), _by_clip(rows, ALONE, figure))
        cells += [f"{change.relative_change:+.1%}", f"{change.low:+.1%} to {change.high:+.1%}"]
    return [*cells, _of_seeds(rows, way)]


def _of_seeds(rows: Sequence[Row], way: str) -> str:
    """Each seed's change of MAD and of dtSSD."""
    found = []
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["seed"] == seed]
        change = {
            figure: sum(_by_clip(own, way, figure).values()) / sum(_by_clip(own, ALONE, figure).values()) - 1
            for figure in ("MAD", "dtSSD")
        }
        found.append(f"{change['MAD']:+.1%}/{change['dtSSD']:+.1%}")
    return " ".join(found)


def _by_clip(rows: Sequence[Row], way: str, figure: str) -> Mapping[str, float]:
    return {f"{row['seed']}/{row['clip']}": row["ways"][way][figure] for row in rows}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matter", help="a run, an export, or a folder with matter.safetensors")
    parser.add_argument("--sources", default="portrait,animal", help="IN of make-clips, with commas")
    parser.add_argument("--kinds", default="alpha", help="of a data root's rows, with commas")
    parser.add_argument("--subjects", default="portrait,animal", help="of a data root, with commas")
    parser.add_argument("--backgrounds", help="folder of pictures (default: drawn ones)")
    parser.add_argument("--clips", type=int, default=12, help="of each subject and seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="64")
    parser.add_argument("--rows", type=Path, help="file to keep what was measured in")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sources = Sources(
        args.sources.split(","), args.clips, args.backgrounds, args.kinds.split(","), args.subjects.split(",")
    )
    options = [ClipOptions(args.frames, size=parse_size(args.size), seed=seed) for seed in range(args.seeds)]
    print(f"{json.dumps(asdict(options[0]))}\n")
    table(gather(load(args.matter), sources, options, args.rows))


if __name__ == "__main__":
    main()
