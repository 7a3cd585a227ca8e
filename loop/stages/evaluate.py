"""SAD, MSE, MAD, Grad and Conn of the new matter on the held-out pictures, without the padding that made them square.

Headline numbers of a domain are those against kind `alpha`; a domain without such pictures is measured against
`pseudo-alpha` and says so. Two floors stand beside them: the all-zero matte and the best constant one.
Out: per_picture.jsonl, {photo,truth,prediction}/*.png, probes.png (the same pictures every round).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from loop.config.steps import EvaluateStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import Row, content, data_rows, read_index, write_index
from stylematte.data.manifest import MEASURED
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb
from stylematte.inference.predict import predict
from stylematte.inference.whole import as_trained
from stylematte.metrics import score_pair
from stylematte.networks.weights import load_matter
from stylematte.sheets import on_checkerboard, write_sheet

MEASURES = ("SAD", "MSE", "MAD", "Grad", "Conn")
PROBES = 6  # of each domain


def run(ctx: Context) -> Metrics:
    if not (ctx.inputs["matter"] / "matter.json").is_file():
        write_index(ctx.out, [], "per_picture.jsonl")
        return {}
    data = ctx.inputs["data"]
    network = load_matter(ctx.inputs["matter"]).to(device_for(ctx))
    seen = as_trained(network, ctx.inputs["matter"], [row["image"] for row in read_index(data)])
    rows: list[Row] = []
    probes = []
    for domain in read(EvaluateStep, ctx.config).domains:
        held_out = data_rows(data, "heldout", domain)
        constant = _best_constant(data, held_out)
        for number, row in enumerate(tracked(ctx, held_out, domain)):
            image, truth = content(read_rgb(data / row["image"]), row), content(read_alpha(data / row["alpha"]), row)
            alpha = predict(seen, image)
            rows.append(_score(ctx, row, image, alpha, truth, constant))
            if number < PROBES:
                probes += [image, on_checkerboard(torch.cat([image, alpha])), alpha.expand(3, -1, -1)]
    write_index(ctx.out, rows, "per_picture.jsonl")
    write_sheet(ctx.out / "probes.png", probes, 9)
    return _means(rows)


def _score(ctx: Context, row: Row, image: Tensor, alpha: Tensor, truth: Tensor, constant: float) -> Row:
    names = {kind: f"{kind}/{row['id'].replace('/', '-')}.png" for kind in ("photo", "truth", "prediction")}
    for name in names.values():
        (ctx.out / name).parent.mkdir(exist_ok=True)
    write_rgb(ctx.out / names["photo"], image)
    write_alpha(ctx.out / names["truth"], truth)
    write_alpha(ctx.out / names["prediction"], alpha)
    # Scored as it is saved, in 8 bit: Conn's thresholds are edge-sensitive on floats.
    predicted, true = read_alpha(ctx.out / names["prediction"])[0].numpy(), truth[0].numpy()
    floors = {
        "zero_SAD": float(np.abs(true).sum() / 1000),
        "constant_SAD": float(np.abs(true - constant).sum() / 1000),
        "foreground": float(predicted.mean()),
        "true_foreground": float(true.mean()),
    }
    scores = {key: round(float(value), 8) for key, value in {**score_pair(predicted, true), **floors}.items()}
    return {"id": row["id"], "domain": row["domain"], "kind": row["kind"], **names, **scores}


def _best_constant(data: Path, held_out: list[Row]) -> float:
    """The one value that, given to every pixel, has the least SAD: the median of all true alphas."""
    values = [content(read_alpha(data / row["alpha"]), row).numpy().ravel() for row in held_out]
    return float(np.median(np.concatenate(values))) if values else 0.0


def _means(rows: list[Row]) -> Metrics:
    means: Metrics = {}
    for domain in dict.fromkeys(row["domain"] for row in rows):
        here = [row for row in rows if row["domain"] == domain]
        kind = next(kind for kind in MEASURED if any(row["kind"] == kind for row in here))
        headline = [row for row in here if row["kind"] == kind]
        keys = (*MEASURES, "zero_SAD", "constant_SAD", "foreground", "true_foreground")
        means[domain] = {key: round(float(np.mean([row[key] for row in headline])), 6) for key in keys}
        means[domain] |= {"n": len(headline), "kind": kind}
    return means
