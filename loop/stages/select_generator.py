"""Which generator stands: of this round's snapshots and the one that stood before, the nearest to the training set.

Adversarial fits circle, and their last step is seldom their best. What goes on from here (pairs, the next round's fit,
the export) is the generator that stands, so a fit that went astray costs a round and nothing more. The distance is
that of the best of a handful, so it flatters a little.

The features are those of round 0's matter: its backbone's maps of the cut-out over mid-grey, averaged, and the alpha at
8 x 8. Each map and the alpha is one block, brought to unit variance as a whole on round 1's training set: in a block
the features keep their natural units. (Each on its own, the alpha of corners that are always empty would rule the
distance: one stray pixel there counted for more than the whole subject.) The blocks are projected on fixed random
bases, so that a few hundred pictures give a full-rank covariance; the distances are means over the bases, of which one
alone is off by a fifth. The distances of all rounds of a run can be compared; those of two runs cannot.
Out: the generator that stands (weights, generator.json), sheet.png (sixteen of its pictures on a checkerboard),
real.png (training cut-outs beside it).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loop.engine.heartbeat import beat_or_stop, tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import kept_files, on_checkerboard, write_cutout_sheet, write_sheet
from stylematte.imagefile import read_rgba
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import load_matter
from stylematte.rgba import composite, split_rgba
from stylematte.sampling import generator_at
from stylemattegan.metrics import frechet_distance, kernel_distance
from stylemattegan.networks.weights import DESCRIPTION, copy_generator, is_generator, load_generator
from stylemattegan.sample import sample

BATCH = 32
PROJECTED, BASES = 32, 8
Blocks = list[np.ndarray]
"""One (n, d) array for each map and one for the alpha, in the order of `_features`."""
NEW, FORMER = "generator", "previous"


def run(ctx: Context) -> Metrics:
    files = kept_files(ctx.inputs["labels"])
    found = {name: folder for name, folder in _candidates(ctx).items() if is_generator(folder)}
    pictures = {name: _sampled(ctx, folder) for name, folder in found.items()}
    told = _measured(ctx, files, pictures)
    if not found:
        return _metrics(told, None, ctx, files)
    stands = min(found, key=lambda name: told[name][0] if told else 0.0)
    copy_generator(found[stands], ctx.out)
    write_sheet(ctx.out / "sheet.png", [on_checkerboard(picture) for picture in pictures[stands][:16]], 8)
    write_cutout_sheet(ctx.out / "real.png", files)
    return _metrics(told, stands, ctx, files)


def _candidates(ctx: Context) -> dict[str, Path]:
    """The fit's end, its snapshots from the last to the first, the former one: of equals the first stands."""
    end = ctx.inputs[NEW]
    snapshots = sorted(end.glob("snapshots/*"), reverse=True)
    former = {FORMER: ctx.inputs[FORMER]} if FORMER in ctx.inputs else {}
    return {NEW: end, **{folder.name: folder for folder in snapshots}, **former}


def _metrics(told: dict[str, tuple[float, float]], stands: str | None, ctx: Context, files: list[Path]) -> Metrics:
    """frechet and kid of the one that stands; fitted_frechet of the fit's end. None where nothing was measured."""
    frechet, kid = told.get(stands or "", (None, None))
    return {
        "frechet": _rounded(frechet, 5),
        "kid": _rounded(kid, 6),
        "fitted_frechet": _rounded(told[NEW][0] if NEW in told else None, 5),
        "stands": {None: "none", FORMER: "the former"}.get(stands, "this round's"),
        "stands_at_kimg": json.loads((ctx.out / DESCRIPTION).read_text())["meta"].get("kimg") if stands else None,
        "n": ctx.config["images"] if told else 0,
        "training_set": len(files),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _sampled(ctx: Context, folder: Path) -> Tensor:
    """(images, 4, S, S): the same latents every round, so that the sheets show one family growing up."""
    G = load_generator(folder).to(device_for(ctx))
    seeds = list(range(1, ctx.config["images"] + 1))
    parts = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    return torch.cat([sample(G, part, [1.0] * len(part), BATCH) for part in tracked(ctx, parts)])


def _measured(ctx: Context, files: list[Path], pictures: dict[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Fréchet and kernel distance of each set; empty where the training set is too small for a covariance."""
    if not pictures or len(files) < 2 * PROJECTED:
        return {}
    network = load_matter(ctx.inputs["features"]).to(device_for(ctx))
    real = _cutout_features(ctx, network, files)
    # In round 1 both inputs are one folder.
    same = ctx.inputs["scale"] == ctx.inputs["labels"]
    scale = real if same else _cutout_features(ctx, network, kept_files(ctx.inputs["scale"]))
    return {name: distances(_features(ctx, network, each), real, scale) for name, each in pictures.items()}


def _cutout_features(ctx: Context, network: StyleMatte, files: list[Path]) -> Blocks:
    return _features(ctx, network, torch.stack([read_rgba(file) for file in files]))


def _features(ctx: Context, network: StyleMatte, pictures: Tensor) -> Blocks:
    rows = []
    for part in pictures.split(BATCH):
        beat_or_stop(ctx)
        rows.append(describe(network, part.to(device_for(ctx))))
    return [np.concatenate(block) for block in zip(*rows, strict=True)]


@torch.no_grad()
def describe(network: StyleMatte, pictures: Tensor) -> Blocks:
    """The features of straight RGBA (n, 4, S, S) on the network's device."""
    colour, alpha = split_rgba(pictures)
    maps = network.encode(composite(colour, alpha, torch.full_like(colour, 0.5)))
    pooled = [level.mean((2, 3)) for level in maps]
    blocks = [*pooled, F.adaptive_avg_pool2d(alpha, 8).flatten(1)]
    return [block.double().cpu().numpy() for block in blocks]


def distances(generated: Blocks, real: Blocks, scale: Blocks) -> tuple[float, float]:
    """Fréchet and kernel distance of (n, d) features in blocks, in units of the spread of `scale`; means over BASES."""
    told = []
    for basis in range(BASES):
        one, other = (_project(blocks, scale, basis) for blocks in (generated, real))
        told.append((float(frechet_distance(one, other)), float(kernel_distance(one, other))))
    frechet, kid = np.mean(told, 0)
    return float(frechet), float(kid)


def _project(blocks: Blocks, scale: Blocks, basis: int) -> np.ndarray:
    """Blocks of equal weight, in units of their spread, then on PROJECTED directions of one fixed orthonormal basis.

    Scaled so that the projection of `scale` has a variance of about 1 in each direction.
    """
    units = [math.sqrt(like.var(0).sum()) or 1.0 for like in scale]  # a block that never varies says nothing
    rows = [(block - like.mean(0)) / unit for block, like, unit in zip(blocks, scale, units, strict=True)]
    width = sum(like.shape[1] for like in scale)
    drawn = torch.randn(width, PROJECTED, generator=generator_at("judge", basis), dtype=torch.float64)
    return np.concatenate(rows, 1) @ np.linalg.qr(drawn.numpy())[0] * math.sqrt(width / len(scale))
