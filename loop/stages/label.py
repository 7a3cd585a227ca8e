"""Pseudo-labels: the accepted matter cuts out the photos of one domain, for its generator to learn from.

Labelled training pictures go in as they are. Unlabelled photos get the matter's alpha and stay out when its flipped
and scaled views disagree; photos with a mask also stay out when the alpha contradicts the mask. Held-out pictures
never come near. Every cut-out is framed alike (`frame_cutout`); one that does not fill its frame (min_fill) is not for
the generator, but the roads below have it.

For the roads of matter.later that ask for it, kept photos of kind `none` also get what `fit_matter` learns from: a
trimap of what the matter is sure of in every view (trimaps), the alpha and the foreground as they are in the photo
(photos, cutouts), and how far each pixel of that alpha may be believed (photos).

Out: rgba/*.png (straight), trimap/*.png, sheet.png, index.jsonl {id, rgba, trimap, kept, reason, confidence, kind,
foreground (mean of the alpha it was given), true_foreground (of its label or mask; null without one)};
if asked for, alpha/, foreground/ and agreement/ (8 bit, at the resolution that `prepare` kept of the photo), as alpha,
colour and agreement in index.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from loop.config.schema import LabelConfig
from loop.config.steps import LabelStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import Row, content, data_rows, read_cutout, write_index
from stylematte.data.manifest import FOREGROUND, MEASURED
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb, write_rgba, write_trimap
from stylematte.inference.predict import predict_agreement, predict_ensemble, predict_with_confidence, sharpen
from stylematte.inference.whole import WholeViews, as_trained
from stylematte.networks.weights import load_matter
from stylematte.ops.foreground import estimate_foreground
from stylematte.sheets import write_cutout_sheet
from stylematte.trimap import from_matter
from stylemattegan.framing import frame_cutout

BATCH = 16
SURE = 0.5


def run(ctx: Context) -> Metrics:
    config, data = read(LabelStep, ctx.config), ctx.inputs["data"]
    (ctx.out / "rgba").mkdir()
    rows: list[Row] = []
    for row in data_rows(data, "train", config.domain, (*MEASURED, FOREGROUND)):
        cutout = read_cutout(data, row)
        rows.append(_entry(row, None, None) | _foreground(cutout[3:], cutout[3:]))
        rows[-1] |= _framed(ctx, config, rows[-1], cutout)
    photos = data_rows(data, "train", config.domain, ("none", "mask"))
    batch = BATCH if all("box" in row or row["image"].endswith(".png") for row in photos) else 1  # their own shapes
    network = load_matter(ctx.inputs["matter"]).to(device_for(ctx))
    network = as_trained(network, ctx.inputs["matter"], [row["image"] for row in photos])
    for start in tracked(ctx, range(0, len(photos), batch)):
        rows += _label(ctx, config, network, photos[start : start + batch])
    write_index(ctx.out, rows)
    write_cutout_sheet(ctx.out / "sheet.png", [ctx.out / r["rgba"] for r in rows if r["kept"] and r["kind"] == "none"])
    pseudo = [row for row in rows if row["kind"] not in (*MEASURED, FOREGROUND)]
    return {
        "real": len(rows) - len(pseudo),
        "photos": len(pseudo),
        "kept": sum(row["kept"] for row in pseudo),
        "pool": sum(row["kept"] for row in rows),
        **({"too_small": sum("fill" in row for row in rows)} if config.rules.min_fill else {}),
        **({"trimaps": sum(bool(row["trimap"]) for row in rows)} if config.trimaps else {}),
        **({"targets": sum("alpha" in row for row in rows)} if config.targets else {}),
        "foreground": _mean(row["foreground"] for row in pseudo),
        "true_foreground": _mean(row["true_foreground"] for row in rows),
        # A mask that a young matter does not meet lowers a photo's confidence: no sign of a collapse.
        "confidence": _mean(row["confidence"] for row in pseudo if row["kind"] == "none"),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None if none is."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 5) if known else None


@torch.no_grad()
def _label(ctx: Context, config: LabelStep, network: nn.Module, photos: list[Row]) -> list[Row]:
    data = ctx.inputs["data"]
    images = torch.stack([read_rgb(data / row["image"]) for row in photos])
    seen, shown = (network.network, network.small(images)) if isinstance(network, WholeViews) else (network, images)
    alphas, confidences = predict_with_confidence(seen, shown)
    if config.rules.ensemble:
        alphas = predict_ensemble(seen, shown)
    if config.rules.sharpen != 1:
        alphas = sharpen(alphas, config.rules.sharpen)
    if isinstance(network, WholeViews):
        alphas = network.brought_back(alphas, shown, images)
    rows = []
    for row, image, alpha, confidence in zip(photos, images, alphas, confidences.tolist(), strict=True):
        mask = read_alpha(data / row["alpha"]) if row["kind"] == "mask" else None
        if mask is not None:
            confidence = min(confidence, _agreement(alpha, mask))
        entry = _entry(row, confidence, _refusal(config.rules, content(alpha, row), confidence))
        entry |= _foreground(content(alpha, row), None if mask is None else content(mask, row))
        if entry["kept"]:
            foreground = estimate_foreground(image, alpha)
            entry |= _framed(ctx, config, entry, content(torch.cat([foreground, alpha]), row))
            if config.targets and row["kind"] == "none":
                entry |= {"alpha": _file("alpha", row), "colour": _file("foreground", row)}
                write_alpha(ctx.out / entry["alpha"], alpha)
                write_rgb(ctx.out / entry["colour"], foreground)
        rows.append(entry)
    if config.agreement:
        _write_agreement(ctx, network, images, rows, photos)
    if config.trimaps:
        _write_trimaps(ctx, network, images, rows, photos)
    return rows


def _write_trimaps(ctx: Context, network: nn.Module, images: Tensor, rows: list[Row], photos: list[Row]) -> None:
    trimaps, known = from_matter(network, images)
    for row, photo, trimap, enough in zip(rows, photos, trimaps, known.tolist(), strict=True):
        if (row["kept"] or "fill" in row) and row["kind"] == "none" and enough:
            row["trimap"] = _file("trimap", photo)
            write_trimap(ctx.out / row["trimap"], trimap)


def _write_agreement(ctx: Context, network: nn.Module, images: Tensor, rows: list[Row], photos: list[Row]) -> None:
    for row, photo, agreement in zip(rows, photos, predict_agreement(network, images), strict=True):
        if "alpha" in row:
            row["agreement"] = _file("agreement", photo)
            write_alpha(ctx.out / row["agreement"], agreement)


def _framed(ctx: Context, config: LabelStep, entry: Row, cutout: Tensor) -> Row:
    """Writes the cut-out as the generator sees it; or says why it does not: what to add to the entry."""
    framed = frame_cutout(cutout, config.size)
    fill = float(framed[3].mean())
    if fill < config.rules.min_fill:
        reason = f"fills {fill:.3f} of the square around it, below {config.rules.min_fill}: not for the generator"
        return {"kept": False, "reason": reason, "fill": round(fill, 5)}
    write_rgba(ctx.out / entry["rgba"], framed)
    return {}


def _file(kind: str, photo: Row) -> str:
    """What is written of a photo: PNG beside a square, PPM or PGM beside a photo that kept its resolution."""
    ending = ("ppm" if kind == "foreground" else "pgm") if photo["image"].endswith(".ppm") else "png"
    return f"{kind}/{photo['id'].replace('/', '-')}.{ending}"


def _agreement(alpha: Tensor, mask: Tensor) -> float:
    """1 - |alpha - mask| relative to the mask's area: 1 for equal, 0 or less for unrelated."""
    return float(1 - (alpha - mask).abs().sum() / mask.sum().clamp_min(1))


def _refusal(rules: LabelConfig, alpha: Tensor, confidence: float) -> str | None:
    area = float(alpha.mean())
    if float(alpha.max()) < SURE:
        return f"nothing is surely foreground: alpha nowhere above {SURE}"
    if area < rules.min_foreground:
        return f"foreground {area:.3f} below {rules.min_foreground}"
    if area > rules.max_foreground:
        return f"foreground {area:.3f} above {rules.max_foreground}"
    if confidence < rules.min_confidence:
        return f"confidence {confidence:.3f} below {rules.min_confidence}"
    return None


def _foreground(alpha: Tensor, truth: Tensor | None) -> Row:
    return {
        "foreground": round(float(alpha.mean()), 5),
        "true_foreground": None if truth is None else round(float(truth.mean()), 5),
    }


def _entry(row: Row, confidence: float | None, reason: str | None) -> Row:
    name = row["id"].replace("/", "-")
    return {
        "id": row["id"],
        "rgba": f"rgba/{name}.png",
        "trimap": None,
        "kind": row["kind"],
        "kept": reason is None,
        "reason": reason,
        "confidence": None if confidence is None else round(confidence, 5),
    }
