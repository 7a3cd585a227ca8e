"""Filters generated cut-outs to the pairs worth learning from; every refusal has its reason.

A pair is kept if its foreground fraction is sane, its foreground is one connected body, it is no near-duplicate of a
kept one, and the accepted matter, shown the cut-out on new backgrounds, finds the alpha the generator gave it.
Out: index.jsonl (all candidates, with scores), rgba/*.png (kept ones), sheet.png (kept, on backgrounds).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loop.config.schema import SelectConfig
from loop.config.steps import SelectStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import Row, background_files, read_index, write_index
from stylematte.imagefile import read_rgb, read_rgba
from stylematte.inference.predict import predict
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import load_matter
from stylematte.rgba import composite, split_rgba
from stylematte.sampling import position_seed
from stylematte.sheets import write_sheet

BATCH = 32
THUMBNAIL = 16


def run(ctx: Context) -> Metrics:
    pool, config = ctx.inputs["pool"], read(SelectStep, ctx.config)
    rules = config.rules
    rows = read_index(pool)
    candidates = [row for row in rows if row["kept"]]  # the others `refine_pairs` has refused, with a reason
    network = load_matter(ctx.inputs["matter"]).to(device_for(ctx))
    backgrounds = [read_rgb(file) for file in background_files(ctx.inputs["data"])]
    backgrounds = backgrounds or [torch.full((3, config.size, config.size), grey) for grey in (0.1, 0.5, 0.9)]
    kept_thumbnails: list[Tensor] = []
    for start in tracked(ctx, range(0, len(candidates), BATCH)):
        part = candidates[start : start + BATCH]
        pictures = torch.stack([read_rgba(pool / row["rgba"]) for row in part])
        gaps = disagreement(network, pictures, _backgrounds_for(part, backgrounds, rules.backgrounds))
        for row, picture, gap in zip(part, pictures, gaps.tolist(), strict=True):
            row["disagreement"] = round(gap, 5)
            apply_rules(row, picture, rules, kept_thumbnails)
    _keep_best(rows, rules.keep)
    _copy_kept(ctx, rows, backgrounds)
    reasons: dict[str, int] = {}
    for row in rows:
        if not row["kept"]:
            reasons[row["rule"]] = reasons.get(row["rule"], 0) + 1
    kept = sum(row["kept"] for row in rows)
    return {"candidates": len(rows), "kept": kept, "refused": dict(sorted(reasons.items()))}


def apply_rules(row: Row, picture: Tensor, thresholds: SelectConfig, kept: list[Tensor]) -> None:
    """Write into `row` whether `picture` (4, H, W) is kept, and if not, the first rule it breaks and why.

    row has its disagreement already. kept: thumbnails of the pairs kept so far; a new one joins them.
    """
    alpha = picture[3]
    area, body = float(alpha.mean()), main_body(alpha.numpy())
    small = thumbnail(picture)
    similarity = max((float(small @ other) for other in kept), default=-1.0)
    row |= {"foreground": round(area, 5), "body": round(body, 5), "similarity": round(similarity, 5)}
    rules = [
        ("foreground", area < thresholds.min_foreground, f"foreground {area:.3f} below {thresholds.min_foreground}"),
        ("foreground", area > thresholds.max_foreground, f"foreground {area:.3f} above {thresholds.max_foreground}"),
        ("body", body < thresholds.min_body, f"largest body {body:.3f} of the foreground, below {thresholds.min_body}"),
        ("duplicate", similarity > thresholds.max_similarity, f"near-duplicate, similarity {similarity:.4f}"),
        (
            "disagreement",
            row["disagreement"] > thresholds.max_disagreement,
            f"the matter disagrees by {row['disagreement']:.3f}, above {thresholds.max_disagreement}",
        ),
    ]
    row["rule"], row["reason"] = next(((name, why) for name, broken, why in rules if broken), (None, None))
    row["kept"] = row["reason"] is None
    if row["kept"]:
        kept.append(small)


@torch.no_grad()
def disagreement(network: StyleMatte, pictures: Tensor, backgrounds: Tensor) -> Tensor:
    """Mean |alpha of the generator - alpha of the matter| over new backgrounds.

    pictures: (N, 4, H, W) straight RGBA; backgrounds: (K, N, 3, H, W). Returns (N,) in [0, 1].
    """
    colour, alpha = split_rgba(pictures)
    gaps = [(predict(network, composite(colour, alpha, b)) - alpha).abs().mean((1, 2, 3)) for b in backgrounds]
    return torch.stack(gaps).mean(0)


def main_body(alpha: np.ndarray) -> float:
    """Share of the foreground (alpha above 1/2) that is in its largest 8-connected body; 0 if there is none."""
    labels, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8), connectivity=8)
    areas = stats[1:labels, cv2.CC_STAT_AREA]
    return float(areas.max() / areas.sum()) if len(areas) else 0.0


def thumbnail(picture: Tensor) -> Tensor:
    """A unit vector of the small premultiplied picture less its mean: the product of two is their correlation."""
    colour, alpha = split_rgba(picture)
    small = F.adaptive_avg_pool2d(torch.cat([colour * alpha, alpha]), THUMBNAIL).flatten()
    small = small - small.mean()
    return small / small.norm().clamp_min(1e-6)


def _backgrounds_for(rows: list[Row], backgrounds: list[Tensor], count: int) -> Tensor:
    """(count, N, 3, H, W): which background a candidate meets depends on its id alone."""
    picks = [[position_seed("select", row["id"], k) % len(backgrounds) for row in rows] for k in range(count)]
    return torch.stack([torch.stack([backgrounds[i] for i in line]) for line in picks])


def _keep_best(rows: list[Row], most: int) -> None:
    kept = sorted((row for row in rows if row["kept"]), key=lambda row: (row["disagreement"], row["id"]))
    for row in kept[most:] if most else []:
        row |= {"kept": False, "rule": "enough", "reason": f"enough: {most} pairs agree better"}


def _copy_kept(ctx: Context, rows: list[Row], backgrounds: list[Tensor]) -> None:
    (ctx.out / "rgba").mkdir()
    kept = [row for row in rows if row["kept"]]
    for row in kept:
        shutil.copyfile(ctx.inputs["pool"] / row["rgba"], ctx.out / row["rgba"])
    write_index(ctx.out, rows)
    shown = []
    for row, background in zip(kept[:16], _backgrounds_for(kept[:16], backgrounds, 1)[0] if kept else [], strict=True):
        colour, alpha = split_rgba(read_rgba(Path(ctx.out / row["rgba"])))
        shown.append(composite(colour, alpha, background))
    write_sheet(ctx.out / "sheet.png", shown, 8)
