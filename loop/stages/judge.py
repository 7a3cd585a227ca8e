"""How far the generator's pictures are from its training set, in the features of round 0's matter.

The features are the matter's own: its backbone's maps of the cut-out over mid-grey, averaged, and the alpha at 8 x 8.
Each map and the alpha is one block, brought to unit variance as a whole on round 1's training set: within a block the
features keep their natural units. (Each on its own, the alpha of corners that are always empty would rule the distance:
one stray pixel there counted for more than the whole subject.) The blocks are projected on fixed random bases, so that
a few hundred pictures give a full-rank covariance; the distances are means over the bases, of which one alone is
off by a fifth. The distances of all rounds of a run can be compared; those of two runs cannot.
Out: sheet.png (sixteen pictures on a checkerboard), real.png (training cut-outs beside it).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loop.stage import Context, Metrics
from loop.stages.breath import breathe, watched
from loop.stages.device import device_for
from loop.stages.pools import kept_files, on_checkerboard, write_cutout_sheet, write_sheet
from stylematte.imagefile import read_rgba
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import load_matter
from stylematte.rgba import composite, split_rgba
from stylematte.sampling import generator_at
from stylemattegan.metrics import frechet_distance, kernel_distance
from stylemattegan.networks.weights import load_generator
from stylemattegan.sample import sample

BATCH = 32
PROJECTED, BASES = 32, 8
Blocks = list[np.ndarray]
"""One (n, d) array for each map and one for the alpha, in the order of `_features`."""
UNKNOWN: Metrics = {"frechet": None, "kid": None, "n": 0}


def run(ctx: Context) -> Metrics:
    files = kept_files(ctx.inputs["labels"])
    if not (ctx.inputs["generator"] / "generator.json").is_file():
        return UNKNOWN
    G = load_generator(ctx.inputs["generator"]).to(device_for(ctx))
    count = ctx.config["images"]
    seeds = list(range(1, count + 1))  # the same latents every round: the sheet shows one family growing up
    fake = []
    for start in watched(ctx, range(0, count, BATCH)):
        part = seeds[start : start + BATCH]
        fake.append(sample(G, part, [1.0] * len(part), BATCH))
    pictures = torch.cat(fake)
    write_sheet(ctx.out / "sheet.png", [on_checkerboard(picture) for picture in pictures[:16]], 8)
    write_cutout_sheet(ctx.out / "real.png", files)
    if len(files) < 2 * PROJECTED:
        return UNKNOWN  # a covariance of so few would say nothing
    network = load_matter(ctx.inputs["features"]).to(device_for(ctx))
    real = _cutout_features(ctx, network, files)
    generated = _features(ctx, network, pictures)
    # In round 1 both inputs are one folder.
    same = ctx.inputs["scale"] == ctx.inputs["labels"]
    scale = real if same else _cutout_features(ctx, network, kept_files(ctx.inputs["scale"]))
    frechet, kid = distances(generated, real, scale)
    return {
        "frechet": round(frechet, 5),
        "kid": round(kid, 6),
        "n": count,
        "training_set": len(files),
    }


def _cutout_features(ctx: Context, network: StyleMatte, files: list[Path]) -> Blocks:
    return _features(ctx, network, torch.stack([read_rgba(file) for file in files]))


@torch.no_grad()
def _features(ctx: Context, network: StyleMatte, pictures: Tensor) -> Blocks:
    rows = []
    for part in pictures.split(BATCH):
        breathe(ctx)
        colour, alpha = split_rgba(part.to(device_for(ctx)))
        maps = network.encode(composite(colour, alpha, torch.full_like(colour, 0.5)))
        pooled = [level.mean((2, 3)) for level in maps]
        rows.append([*pooled, F.adaptive_avg_pool2d(alpha, 8).flatten(1)])
    return [torch.cat(block).double().cpu().numpy() for block in zip(*rows, strict=True)]


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
