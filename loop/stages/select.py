"""Filters generated cut-outs to the pairs worth learning from; every refusal has its reason.

A pair is kept if its foreground fraction is sane, its foreground is one connected body, it is no near-duplicate of a
kept one, and the accepted matter, shown the cut-out on new backgrounds, finds the alpha the generator gave it. If
asked for, it is also not cut by too many sides of the frame and no copy of a training picture (`loop.pair_rules`).
What a person has decided of a candidate (`loop.config.reviews`) outweighs every rule.
Out: index.jsonl (all candidates, with scores), rgba/*.png or shards/*.tar (those kept), sheet.png (on backgrounds);
with select.reliability agreement/*.png (how far each pixel's alpha may be believed).
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from loop.config.reviews import Review, picture_digest
from loop.config.schema import SelectConfig
from loop.config.steps import SelectStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.pair_rules import Recognised, apply_rules, detail, keep_best
from loop.pools import Row, background_files, kept_files, read_index, write_index
from loop.sharded import loose_name, write_shards
from stylematte.data.folders import centre_square
from stylematte.imagefile import read_rgb, read_rgba, write_alpha, write_rgba
from stylematte.inference.predict import pixel_agreement, predict, predict_views
from stylematte.inference.whole import as_trained
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import load_matter
from stylematte.rgba import composite, split_rgba
from stylematte.sampling import position_seed
from stylematte.sheets import write_sheet
from stylemattegan.metrics.features import collect, joined, pooled, units

BATCH = 32
MATTERS = ("matter", "previous")
"""Inputs: the accepted matter, and if asked for the one of the round before."""


def run(ctx: Context) -> Metrics:
    pool, config = ctx.inputs["pool"], read(SelectStep, ctx.config)
    rules = config.rules
    rows = read_index(pool)
    reviews = _reviews_of(pool, rows, config)
    # the others `refine_pairs` has refused, with a reason
    candidates = [row for row in rows if row["kept"] or (row["id"] in reviews and reviews[row["id"]].kept)]
    photos = [row["image"] for row in read_index(ctx.inputs["data"])]
    folders = {name: ctx.inputs[name] for name in MATTERS if name in ctx.inputs}
    loaded = {name: load_matter(folder).to(device_for(ctx)) for name, folder in folders.items()}
    matters = {name: as_trained(loaded[name], folder, photos) for name, folder in folders.items()}
    network, previous = matters["matter"], matters.get("previous")
    files = background_files(ctx.inputs["data"])
    backgrounds = [centre_square(read_rgb(file), config.size) for file in files]
    backgrounds = backgrounds or [torch.full((3, config.size, config.size), grey) for grey in (0.1, 0.5, 0.9)]
    kept = Recognised(hashed=rules.compares_hashes())
    real, measure = _training_pictures(ctx, loaded["matter"], rules)
    for start in tracked(ctx, range(0, len(candidates), BATCH)):
        part = candidates[start : start + BATCH]
        pictures = torch.stack([read_rgba(pool / row["rgba"]) for row in part])
        behind = _backgrounds_for(part, backgrounds, rules.backgrounds)
        gaps = {"disagreement": disagreement(network, pictures, behind)}
        if previous is not None:
            gaps["previous_disagreement"] = disagreement(previous, pictures, behind)
        features = measure(pictures) if measure else [None] * len(part)
        for k, (row, picture) in enumerate(zip(part, pictures, strict=True)):
            row |= {name: round(float(gap[k]), 5) for name, gap in gaps.items()}
            apply_rules(row, picture, rules, kept, real, features[k], reviews.get(row["id"]))
        if rules.reliability:
            _write_agreement(ctx, part, pictures, list(matters.values()), behind[0])
    keep_best(rows, rules.keep, rules.cover)
    _forget_agreement(ctx, rows)
    _copy_kept(ctx, rows, backgrounds, config.per_shard)
    by_hand = {"reviewed": len(reviews)} if reviews else {}
    return {**_metrics(rows, candidates), **by_hand}


def _reviews_of(pool: Path, rows: list[Row], config: SelectStep) -> dict[str, Review]:
    """Those of pictures that are still what was looked at."""
    files = {row["id"]: pool / row["rgba"] for row in rows if row["id"] in config.reviews}
    return {
        id_: config.reviews[id_] for id_, file in files.items() if picture_digest(file) == config.reviews[id_].picture
    }


def _metrics(rows: list[Row], candidates: list[Row]) -> Metrics:
    """How many were kept and refused, and how near the candidates come to the training pictures, if that was asked."""
    reasons: dict[str, int] = {}
    for row in rows:
        if not row["kept"]:
            reasons[row["rule"]] = reasons.get(row["rule"], 0) + 1
    found: Metrics = {"candidates": len(rows), "kept": sum(row["kept"] for row in rows)}
    found["refused"] = dict(sorted(reasons.items()))
    for name, nearest in (("real_similarity", max), ("real_hash_bits", min), ("real_feature_distance", min)):
        values = [row[name] for row in candidates if name in row]
        found |= {name: nearest(values)} if values else {}
    distances = [row["real_feature_distance"] for row in candidates if "real_feature_distance" in row]
    if distances:
        covered = {row["nearest_real"] for row in candidates if row["kept"]}
        found |= {"real_feature_distance_median": statistics.median(distances), "covered": len(covered)}
    return found


def _training_pictures(
    ctx: Context, network: StyleMatte, rules: SelectConfig
) -> tuple[Recognised, Callable[[Tensor], Tensor] | None]:
    """The generator's training pictures and their mirror images, if they are asked for; how features are measured.

    Features are in units in which a training picture is 1 away from the nearest other one, in the median.
    """
    folder = ctx.inputs.get("labels")
    singles = [read_rgba(file) for file in kept_files(folder)] if folder else []
    pictures = [each for picture in singles for each in (picture, picture.flip(-1))]
    real = Recognised(pictures, hashed=rules.compares_hashes())
    if singles and rules.min_detail:
        real.usual_detail = statistics.median(map(detail, singles))
    if not (rules.compares_features() and len(singles) > 1):
        return real, None
    encode = pooled("the accepted matter", network.encode, device_for(ctx))
    blocks = collect(encode, torch.stack(pictures).split(BATCH))
    scale = units(blocks)
    vectors = joined(blocks, scale)
    apart = torch.cdist(vectors[::2], vectors[::2]).fill_diagonal_(torch.inf)
    usual = float(apart.min(1).values.median()) or 1.0
    for vector in vectors:
        real.features.add((vector / usual).float())
    return real, lambda rgba: (joined(encode.of(rgba), scale) / usual).float()


@torch.no_grad()
def disagreement(network: nn.Module, pictures: Tensor, backgrounds: Tensor) -> Tensor:
    """Mean |alpha of the generator - alpha of the matter| over new backgrounds.

    pictures: (N, 4, H, W) straight RGBA; backgrounds: (K, N, 3, H, W). Returns (N,) in [0, 1].
    """
    colour, alpha = split_rgba(pictures)
    gaps = [(predict(network, composite(colour, alpha, b)) - alpha).abs().mean((1, 2, 3)) for b in backgrounds]
    return torch.stack(gaps).mean(0)


def _backgrounds_for(rows: list[Row], backgrounds: list[Tensor], count: int) -> Tensor:
    """(count, N, 3, H, W): which background a candidate meets depends on its id alone."""
    picks = [[position_seed("select", row["id"], k) % len(backgrounds) for row in rows] for k in range(count)]
    return torch.stack([torch.stack([backgrounds[i] for i in line]) for line in picks])


def _write_agreement(
    ctx: Context, rows: list[Row], pictures: Tensor, networks: Sequence[nn.Module], behind: Tensor
) -> None:
    """agreement/*.png of kept pairs: 1 minus the largest difference of the generator's alpha and the matters' views."""
    chosen = [k for k, row in enumerate(rows) if row["kept"]]
    if not chosen:
        return
    colour, alpha = split_rgba(pictures[chosen])
    image = composite(colour, alpha, behind[chosen])
    views = [predict_views(networks[0], image), *(predict(network, image)[None] for network in networks[1:])]
    for k, plane in zip(chosen, pixel_agreement(torch.cat([alpha[None], *views])), strict=True):
        rows[k]["agreement"] = f"agreement/{Path(rows[k]['rgba']).name}"
        write_alpha(ctx.out / rows[k]["agreement"], plane)


def _forget_agreement(ctx: Context, rows: list[Row]) -> None:
    """Of those that were kept and had to go for better ones."""
    for row in rows:
        if not row["kept"] and "agreement" in row:
            (ctx.out / row.pop("agreement")).unlink()


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
