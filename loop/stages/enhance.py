"""Moves the weakest generated samples and the least sure photos to where the accepted matter mattes them easily.

arXiv 2208.06601 with an RGBA generator: what matter, generator and refinement then agree on is pseudo ground truth.
Generated: the samples that `select` refused for disagreement, the nearest to its threshold first. Photos: of kind
`none`, the least confident first. Out: rgba/*.png (kept ones join the matter's fit), rgb/, alpha/, before/, latents/,
index.jsonl {id, source, kind, losses_before, losses_after, move, rmse, steps, gate, kept, reason, ...},
before_after.png. What is finished is in scratch, picture by picture: a stopped stage goes on.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from loop.config.steps import EnhanceStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.fitting.device import device_for
from loop.fitting.enhancement import Enhancer, enhance_into, enhancer_of, write_manifest
from loop.pools import Row, background_files, data_rows, read_index
from stylematte.imagefile import read_rgb
from stylematte.sampling import position_seed
from stylemattegan.framing import VISIBLE
from stylemattegan.networks.weights import is_generator
from stylemattegan.sample import latents

DONE = "enhanced"


def run(ctx: Context) -> Metrics:
    config, folder, work = read(EnhanceStep, ctx.config), ctx.inputs["generator"], ctx.scratch / DONE
    work.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    if is_generator(folder):
        device = device_for(ctx)
        enhancer = enhancer_of(
            ctx.inputs["matter"],
            folder,
            device,
            move=config.move,
            invert=config.invert,
            gate=config.gate,
            seed=ctx.seed % 2**31,
        )
        for part in tracked(ctx, list(_batches(ctx, config))):
            rows += _batch(ctx, enhancer, part, work, device)
    for made in work.iterdir():
        if made.name != "items":
            shutil.copytree(made, ctx.out / made.name)
    write_manifest(ctx.out, rows)
    return _metrics(rows)


def _metrics(rows: Sequence[Row]) -> Metrics:
    refused = Counter(row["rule"] for row in rows if not row["kept"])
    moved = [row for row in rows if "losses_after" in row]
    means = {
        f"entropy_{when}": round(sum(row[f"losses_{when}"]["entropy"] for row in moved) / len(moved), 6)
        for when in ("before", "after")
        if moved
    }
    kinds = Counter(row["kind"] for row in rows)
    counts = {"generated": kinds["generated"], "real": kinds["real"], "kept": sum(row["kept"] for row in rows)}
    return {**counts, **means, "refused": dict(sorted(refused.items()))}


def _batches(ctx: Context, config: EnhanceStep) -> Iterator[list[Row]]:
    chosen = [_weakest(ctx, config) if config.generated else [], _least_sure(ctx, config) if config.real else []]
    for rows in chosen:
        for start in range(0, len(rows), config.batch):
            yield rows[start : start + config.batch]


def _weakest(ctx: Context, config: EnhanceStep) -> list[Row]:
    refused = [row for row in read_index(ctx.inputs["pairs"]) if row.get("rule") == "disagreement"]
    refused.sort(key=lambda row: (row["disagreement"], row["id"]))
    keys = ("id", "seed", "psi")
    return [_item("generated", {key: row[key] for key in keys}) for row in refused[: config.count]]


def _least_sure(ctx: Context, config: EnhanceStep) -> list[Row]:
    photos = {row["id"]: row for row in data_rows(ctx.inputs["data"], "train", config.domain, ("none",))}
    labels = [row for row in read_index(ctx.inputs["labels"]) if row["id"] in photos and row["foreground"]]
    labels.sort(key=lambda row: (row["confidence"], row["id"]))
    keys = ("id", "image")
    return [_item("real", {key: photos[row["id"]][key] for key in keys}) for row in labels[: config.count]]


def _item(kind: str, row: Row) -> Row:
    return {**row, "kind": kind, "name": f"{kind}-{row['id'].replace('/', '-')}"}


def _batch(ctx: Context, enhancer: Enhancer, part: list[Row], work: Path, device: torch.device) -> list[Row]:
    if part[0]["kind"] == "generated":
        return enhance_into(work, enhancer, part, lambda due: enhancer.generated(*_drawn(ctx, enhancer, due, device)))
    pictures = {row["id"]: read_rgb(ctx.inputs["data"] / row["image"]).to(device) for row in part}
    with torch.no_grad():
        empty = {id_ for id_, picture in pictures.items() if enhancer.matter(picture[None]).alpha.max() <= VISIBLE}
    refusal = {"kept": False, "rule": "subject", "reason": "subject: the matter finds none"}
    rows = [row | refusal for row in part if row["id"] in empty]
    there = [row for row in part if row["id"] not in empty]

    def photos(due: Sequence[Row]):  # type: ignore[no-untyped-def]
        return enhancer.photos(torch.stack([pictures[row["id"]] for row in due]))

    return rows + enhance_into(work, enhancer, there, photos)


def _drawn(ctx: Context, enhancer: Enhancer, due: Sequence[Row], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, psi and backgrounds; which background a sample meets depends on its id alone."""
    G, files = enhancer.generator, background_files(ctx.inputs["data"])
    size = G.img_resolution
    z, psi = latents([row["seed"] for row in due], G.z_dim), torch.tensor([row["psi"] for row in due])
    picks = [position_seed("enhance", row["id"]) for row in due]
    behind = [read_rgb(files[pick % len(files)]) if files else torch.full((3, size, size), 0.5) for pick in picks]
    return z.to(device), psi.to(device), torch.stack(behind).to(device)
