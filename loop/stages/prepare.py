"""Pictures -> checked, oriented, squared pictures with a split: the only stage that reads the user's folder.

Out: index.jsonl, image/ alpha/ foreground/ (8-bit PNG, size x size), left_out.jsonl.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from loop.stage import Context, Metrics
from loop.stages.breath import breathe
from loop.stages.pools import LABELLED, read_index
from stylematte.data.drawn import write_drawn
from stylematte.data.folders import DataError, prepare


def run(ctx: Context) -> Metrics:
    config = ctx.config
    if config["root"] is None:
        drawn = config["drawn"]
        counts = {key: drawn[key] for key in ("alpha", "heldout", "none", "backgrounds")}
        write_drawn(
            ctx.out,
            size=config["size"],
            domains=config["domains"],
            seed=drawn["seed"],
            watch=partial(breathe, ctx),
            **counts,
        )
        left_out = 0
    else:
        metrics = prepare(
            Path(config["root"]).expanduser(),
            ctx.out,
            size=config["size"],
            domains=config["domains"],
            extra_subjects=config["extra_subjects"],
            heldout={"alpha": config["heldout"]["alpha"], "pseudo-alpha": config["heldout"]["pseudo_alpha"]},
            max_per_source=config["max_per_source"],
            watch=partial(breathe, ctx),
        )
        left_out = metrics["left_out"]
    counted = _count(ctx.out)
    _enough(counted, config["domains"])
    return {"counts": counted, "left_out": left_out}


def _count(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for row in read_index(folder):
        splits = counts.setdefault(row["domain"], {}).setdefault(row["kind"], {})
        splits[row["split"]] = splits.get(row["split"], 0) + 1
    return counts


def _enough(counts: dict[str, dict[str, dict[str, int]]], domains: dict[str, str]) -> None:
    if not any(counts.get(name, {}).get(kind, {}).get("train") for name in counts for kind in (*LABELLED, "mask")):
        raise DataError("no picture to train on: expected rows of kind alpha, pseudo-alpha or mask in manifest.csv")
    for domain in domains:
        if not any(counts.get(domain, {}).get(kind, {}).get("heldout") for kind in LABELLED):
            raise DataError(
                f"domain '{domain}' has no held-out picture: it needs rows of kind alpha or pseudo-alpha "
                "(raise data.heldout.* if there are some)"
            )
