"""How far the generator's pictures are from its training set, in the features of round 0's matter.

The features are the matter's own: its backbone's maps of the cut-out over mid-grey, averaged, and the alpha at 8 x 8.
They are standardised on round 1's training set and projected on a fixed random basis, so that a few hundred pictures
give a full-rank covariance. The distances of all rounds of a run can be compared; those of two runs cannot.
Out: sheet.png (sixteen pictures on a checkerboard), real.png (training cut-outs beside it).
"""

from __future__ import annotations

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
PROJECTED = 32
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
    real, generated = _project(real, scale), _project(generated, scale)
    return {
        "frechet": round(float(frechet_distance(generated, real)), 5),
        "kid": round(float(kernel_distance(generated, real)), 6),
        "n": count,
        "training_set": len(files),
    }


def _cutout_features(ctx: Context, network: StyleMatte, files: list[Path]) -> np.ndarray:
    return _features(ctx, network, torch.stack([read_rgba(file) for file in files]))


@torch.no_grad()
def _features(ctx: Context, network: StyleMatte, pictures: Tensor) -> np.ndarray:
    rows = []
    for part in pictures.split(BATCH):
        breathe(ctx)
        colour, alpha = split_rgba(part.to(device_for(ctx)))
        maps = network.encode(composite(colour, alpha, torch.full_like(colour, 0.5)))
        pooled = [level.mean((2, 3)) for level in maps]
        rows.append(torch.cat([*pooled, F.adaptive_avg_pool2d(alpha, 8).flatten(1)], 1))
    return torch.cat(rows).double().cpu().numpy()


def _project(features: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardise on `scale`, then one fixed orthonormal projection to a few dimensions.

    A feature that hardly varies there (the alpha of a corner) is scaled by a tenth of the median deviation,
    not by its own: otherwise it alone would be the distance.
    """
    deviation = scale.std(0)
    unit = np.maximum(deviation, 0.1 * np.median(deviation) + 1e-12)
    basis = torch.randn(features.shape[1], PROJECTED, generator=generator_at("judge"), dtype=torch.float64)
    q = np.linalg.qr(basis.numpy())[0]
    return (features - scale.mean(0)) / unit @ q
