"""The stage `select_generator`: of this round's snapshots and the previous generator, the nearest to the training set.

Adversarial fits circle, and their last step is seldom their best. What goes on from here (pairs, the next round's fit,
the export) is the selected generator, so a fit that went astray costs a round and nothing more. The distance is that of
the best of a handful, so it flatters a little.

The features are those of round 0's matter: its backbone's maps of the cut-out over mid-grey, averaged, and the alpha at
8 x 8, in units of their spread on round 1's training set (`stylemattegan.metrics.projections`). So the distances of all
rounds of a run can be compared; those of two runs cannot.
Out: the selected generator (weights, generator.json), sheet.png (sixteen of its pictures on a checkerboard), real.png
(training cut-outs beside it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from loop.config.steps import SelectGeneratorStep, read
from loop.engine.heartbeat import beat_or_stop, tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import kept_files
from stylematte.imagefile import read_rgba
from stylematte.networks.weights import load_matter
from stylematte.sheets import on_checkerboard, write_cutout_sheet, write_sheet
from stylemattegan.metrics.features import Blocks, Features, collect, pooled
from stylemattegan.metrics.projections import SMALLEST, Distances, projected_distances
from stylemattegan.networks.weights import copy_generator, is_generator, load_generator, read_description
from stylemattegan.sample import sample

BATCH = 32
NEW, PREVIOUS = "generator", "previous"
"""Inputs: this round's fit, and the generator that was selected last."""


def run(ctx: Context) -> Metrics:
    images = read(SelectGeneratorStep, ctx.config).images
    files = kept_files(ctx.inputs["labels"])
    found = {name: folder for name, folder in _candidates(ctx).items() if is_generator(folder)}
    pictures = {name: _sampled(ctx, name, folder, images) for name, folder in found.items()}
    distances = _distances(ctx, files, pictures)
    metrics = {"n": images if distances else 0, "training_set": len(files)}
    if not found:
        return _metrics(distances, None) | metrics
    selected = min(found, key=lambda name: distances[name].frechet if distances else 0.0)
    copy_generator(found[selected], ctx.out)
    write_sheet(ctx.out / "sheet.png", [on_checkerboard(picture) for picture in pictures[selected][:16]], 8)
    write_cutout_sheet(ctx.out / "real.png", files)
    kimg = read_description(ctx.out).meta.get("kimg")
    return _metrics(distances, selected) | {"selected_at_kimg": kimg} | metrics


def _candidates(ctx: Context) -> dict[str, Path]:
    """The fit's end, its snapshots from the last to the first, the previous generator: of equals the first is taken."""
    end = ctx.inputs[NEW]
    snapshots = sorted(end.glob("snapshots/*"), reverse=True)
    previous = {PREVIOUS: ctx.inputs[PREVIOUS]} if PREVIOUS in ctx.inputs else {}
    return {NEW: end, **{folder.name: folder for folder in snapshots}, **previous}


def _metrics(distances: dict[str, Distances], selected: str | None) -> Metrics:
    """frechet and kid of the selected one; fitted_frechet of the fit's end. None where nothing was measured."""
    best, end = distances.get(selected or ""), distances.get(NEW)
    return {
        "frechet": round(best.frechet, 5) if best else None,
        "kid": round(best.kid, 6) if best else None,
        "fitted_frechet": round(end.frechet, 5) if end else None,
        "selected": {None: "none", PREVIOUS: "the previous"}.get(selected, "this round's"),
        "selected_at_kimg": None,
    }


def _sampled(ctx: Context, name: str, folder: Path, images: int) -> Tensor:
    """(images, 4, S, S): the same latents every round, so that the sheets show one family growing up."""
    G = load_generator(folder).to(device_for(ctx))
    seeds = list(range(1, images + 1))
    parts = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    return torch.cat([sample(G, part, [1.0] * len(part), BATCH) for part in tracked(ctx, parts, name)])


def _distances(ctx: Context, files: Sequence[Path], pictures: dict[str, Tensor]) -> dict[str, Distances]:
    """Of each candidate's pictures; empty where the training set is too small for a covariance."""
    if not pictures or len(files) < SMALLEST:
        return {}
    device = device_for(ctx)
    features = pooled("round 0's matter", load_matter(ctx.inputs["features"]).to(device).encode, device)
    real = _of_files(ctx, features, files)
    # In round 1 both inputs are one folder.
    same = ctx.inputs["scale"] == ctx.inputs["labels"]
    scale = real if same else _of_files(ctx, features, kept_files(ctx.inputs["scale"]))
    made = {name: collect(features, _batches(ctx, each)) for name, each in pictures.items()}
    return {name: projected_distances(blocks, real, scale) for name, blocks in made.items()}


def _of_files(ctx: Context, features: Features, files: Sequence[Path]) -> Blocks:
    return collect(features, _batches(ctx, torch.stack([read_rgba(file) for file in files])))


def _batches(ctx: Context, pictures: Tensor) -> Iterator[Tensor]:
    for part in pictures.split(BATCH):
        beat_or_stop(ctx)
        yield part
