"""Filters generated cut-outs to the pairs worth learning from; every refusal has its reason.

A pair is kept if its foreground fraction is sane, its foreground is one connected body, it is no near-duplicate of a
kept one, and the accepted matter, shown the cut-out on new backgrounds, finds the alpha the generator gave it. If
asked for, it is also not cut by too many sides of the frame and no copy of a training picture. What a person has
decided of a candidate (`loop.config.reviews`) outweighs every rule.
Out: index.jsonl (all candidates, with scores), rgba/*.png or shards/*.tar (those kept), sheet.png (on backgrounds);
with select.reliability agreement/*.png (how far each pixel's alpha may be believed).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loop.config.reviews import Review, picture_digest
from loop.config.schema import SelectConfig
from loop.config.steps import SelectStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pools import Row, background_files, kept_files, read_index, write_index
from loop.sharded import loose_name, write_shards
from stylematte.data.folders import centre_square
from stylematte.data.placement import touched_sides
from stylematte.imagefile import read_rgb, read_rgba, write_alpha, write_rgba
from stylematte.inference.predict import pixel_agreement, predict, predict_views
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
    reviews = _reviews_of(pool, rows, config)
    # the others `refine_pairs` has refused, with a reason
    candidates = [row for row in rows if row["kept"] or (row["id"] in reviews and reviews[row["id"]].kept)]
    network = load_matter(ctx.inputs["matter"]).to(device_for(ctx))
    files = background_files(ctx.inputs["data"])
    backgrounds = [centre_square(read_rgb(file), config.size) for file in files]
    backgrounds = backgrounds or [torch.full((3, config.size, config.size), grey) for grey in (0.1, 0.5, 0.9)]
    kept_thumbnails, real_thumbnails = Thumbnails(), _training_thumbnails(ctx)
    for start in tracked(ctx, range(0, len(candidates), BATCH)):
        part = candidates[start : start + BATCH]
        pictures = torch.stack([read_rgba(pool / row["rgba"]) for row in part])
        gaps = disagreement(network, pictures, _backgrounds_for(part, backgrounds, rules.backgrounds))
        for row, picture, gap in zip(part, pictures, gaps.tolist(), strict=True):
            row["disagreement"] = round(gap, 5)
            apply_rules(row, picture, rules, kept_thumbnails, real_thumbnails, reviews.get(row["id"]))
    _keep_best(rows, rules.keep)
    if rules.reliability:
        _write_agreement(ctx, [row for row in rows if row["kept"]], network, backgrounds)
    _copy_kept(ctx, rows, backgrounds, config.per_shard)
    reasons: dict[str, int] = {}
    for row in rows:
        if not row["kept"]:
            reasons[row["rule"]] = reasons.get(row["rule"], 0) + 1
    kept = sum(row["kept"] for row in rows)
    memories = [row["real_similarity"] for row in candidates if "real_similarity" in row]
    nearest = {"real_similarity": max(memories)} if memories else {}
    by_hand = {"reviewed": len(reviews)} if reviews else {}
    return {"candidates": len(rows), "kept": kept, "refused": dict(sorted(reasons.items())), **nearest, **by_hand}


def _reviews_of(pool: Path, rows: list[Row], config: SelectStep) -> dict[str, Review]:
    """Those of pictures that are still what was looked at."""
    files = {row["id"]: pool / row["rgba"] for row in rows if row["id"] in config.reviews}
    return {
        id_: config.reviews[id_] for id_, file in files.items() if picture_digest(file) == config.reviews[id_].picture
    }


def apply_rules(
    row: Row,
    picture: Tensor,
    thresholds: SelectConfig,
    kept: Thumbnails,
    real: Thumbnails,
    review: Review | None = None,
) -> None:
    """Write into `row` whether `picture` (4, H, W) is kept, and if not, the first rule it breaks and why.

    row has its disagreement already. kept: thumbnails of the pairs kept so far; a new one joins them. real: those of
    the training pictures that a pair is compared with, if any. review: what a person decided; it outweighs the rules.
    """
    alpha = picture[3]
    area, body = float(alpha.mean()), main_body(alpha.numpy())
    sides = sum(touched_sides((alpha * 255).numpy()))
    small = thumbnail(picture)
    similarity, memory = kept.nearest(small), real.nearest(small)
    row |= {"foreground": round(area, 5), "body": round(body, 5), "similarity": round(similarity, 5)}
    row |= {"real_similarity": round(memory, 5)} if real.count else {}
    rules = [
        ("foreground", area < thresholds.min_foreground, f"foreground {area:.3f} below {thresholds.min_foreground}"),
        ("foreground", area > thresholds.max_foreground, f"foreground {area:.3f} above {thresholds.max_foreground}"),
        ("body", body < thresholds.min_body, f"largest body {body:.3f} of the foreground, below {thresholds.min_body}"),
        ("cut", sides > thresholds.max_cut_sides, f"cut by {sides} sides, at most {thresholds.max_cut_sides} expected"),
        ("duplicate", similarity > thresholds.max_similarity, f"near-duplicate, similarity {similarity:.4f}"),
        ("memorised", memory > thresholds.max_real_similarity, f"a training picture, similarity {memory:.4f}"),
        (
            "disagreement",
            row["disagreement"] > thresholds.max_disagreement,
            f"the matter disagrees by {row['disagreement']:.3f}, above {thresholds.max_disagreement}",
        ),
    ]
    row["rule"], row["reason"] = next(((name, why) for name, broken, why in rules if broken), (None, None))
    if review is not None:
        refused = "review", f"refused by hand: {review.reason}".removesuffix(": ")
        row["reviewed"] = True
        row["rule"], row["reason"] = (None, None) if review.kept else refused
    row["kept"] = row["reason"] is None
    if row["kept"]:
        kept.add(small)


class Thumbnails:
    """Unit vectors, to find the nearest of: one product of a matrix and a vector a question."""

    def __init__(self, vectors: Sequence[Tensor] = ()) -> None:
        self.count, self._rows = 0, torch.empty(0, 0)
        for vector in vectors:
            self.add(vector)

    def add(self, vector: Tensor) -> None:
        if self.count == len(self._rows):
            grown = torch.empty(max(64, 2 * self.count), len(vector))
            if self.count:
                grown[: self.count] = self._rows
            self._rows = grown
        self._rows[self.count] = vector
        self.count += 1

    def nearest(self, vector: Tensor) -> float:
        """The largest correlation; -1 if there is none."""
        return float((self._rows[: self.count] @ vector).max()) if self.count else -1.0


def _training_thumbnails(ctx: Context) -> Thumbnails:
    """Of the generator's training pictures and their mirror images; none if they are not asked for."""
    folder = ctx.inputs.get("labels")
    pictures = [read_rgba(file) for file in kept_files(folder)] if folder else []
    return Thumbnails([thumbnail(each) for picture in pictures for each in (picture, picture.flip(-1))])


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


def _write_agreement(ctx: Context, rows: list[Row], network: StyleMatte, backgrounds: list[Tensor]) -> None:
    """agreement/*.png of kept pairs: 1 minus the largest difference of the generator's alpha and the matter's views."""
    for start in tracked(ctx, range(0, len(rows), BATCH)):
        part = rows[start : start + BATCH]
        colour, alpha = split_rgba(torch.stack([read_rgba(ctx.inputs["pool"] / row["rgba"]) for row in part]))
        views = predict_views(network, composite(colour, alpha, _backgrounds_for(part, backgrounds, 1)[0]))
        for row, plane in zip(part, pixel_agreement(torch.cat([alpha[None], views])), strict=True):
            row["agreement"] = f"agreement/{Path(row['rgba']).name}"
            write_alpha(ctx.out / row["agreement"], plane)


def _keep_best(rows: list[Row], most: int) -> None:
    """Cut the pairs to the `most` that agree best; those accepted by hand go first."""

    def rank(row: Row) -> tuple[bool, float, str]:
        return "reviewed" not in row, row["disagreement"], row["id"]

    kept = sorted((row for row in rows if row["kept"]), key=rank)
    for row in kept[most:] if most else []:
        row |= {"kept": False, "rule": "enough", "reason": f"enough: {most} pairs agree better"}


def _copy_kept(ctx: Context, rows: list[Row], backgrounds: list[Tensor], per_shard: int) -> None:
    kept = [row for row in rows if row["kept"]]
    pool = ctx.inputs["pool"]
    if per_shard:

        def pictures(start: int, stop: int) -> Iterator[tuple[Row, Tensor]]:
            yield from ((row, read_rgba(pool / row["rgba"])) for row in kept[start:stop])

        for row, written in zip(kept, write_shards(ctx, len(kept), per_shard, pictures), strict=True):
            row["rgba"] = written["rgba"]
    else:
        (ctx.out / "rgba").mkdir()
        for row in kept:
            name = loose_name(row["rgba"])
            if name == row["rgba"]:
                shutil.copyfile(pool / name, ctx.out / name)
            else:
                write_rgba(ctx.out / name, read_rgba(pool / row["rgba"]))
            row["rgba"] = name
    write_index(ctx.out, rows)
    shown = []
    for row, background in zip(kept[:16], _backgrounds_for(kept[:16], backgrounds, 1)[0] if kept else [], strict=True):
        colour, alpha = split_rgba(read_rgba(Path(ctx.out / row["rgba"])))
        shown.append(composite(colour, alpha, background))
    write_sheet(ctx.out / "sheet.png", shown, 8)
