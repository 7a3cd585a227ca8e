"""Checks, orients, squares and splits the user's pictures; no other stage reads their folder.

Then, in this order: training alphas of `data.weaken` become masks; training pictures of kinds that `data.learn_from`
does not name get the split "excluded" and are read by nothing; trimaps are solved in closed form if a fit wants that.
Out: index.jsonl, image/ alpha/ foreground/ trimap/ closed_form/ (8-bit PNG, size x size; with data.max_side PPM and PGM
of the pictures' own shape), left_out.jsonl.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from loop.config.steps import PrepareStep, read
from loop.engine.heartbeat import tracked
from loop.engine.stage import Context, Metrics
from loop.pools import Row, read_index
from stylematte.data.drawn.dataset import write_drawn
from stylematte.data.folders import prepare, write_rows
from stylematte.data.manifest import BACKGROUND, FOREGROUND, MEASURED, WITH_TRIMAP
from stylematte.data.roots import DataRoot
from stylematte.data.trimaps import TrimapOptions, teach, weaken
from stylematte.errors import DataError

EXCLUDED = "excluded"


def run(ctx: Context) -> Metrics:
    config = read(PrepareStep, ctx.config)
    trimaps = TrimapOptions(config.trimap.radius, config.trimap.outward)
    if not config.roots:
        drawn = config.drawn
        write_drawn(
            ctx.out,
            size=config.max_side or config.size,
            domains=config.domains,
            alpha=drawn.alpha,
            heldout=drawn.heldout,
            none=drawn.none,
            backgrounds=drawn.backgrounds,
            seed=drawn.seed,
            oracle=drawn.oracle,
            track=partial(tracked, ctx),
        )
        left_out = 0
    else:
        metrics = prepare(
            [DataRoot(Path(r.root), r.domain, r.kind, r.layout, r.share) for r in config.roots],
            ctx.out,
            size=config.size,
            domains=config.domains,
            extra_subjects=config.extra_subjects,
            heldout={"alpha": config.heldout.alpha, "pseudo-alpha": config.heldout.pseudo_alpha},
            max_per_source=config.max_per_source,
            trimaps=trimaps,
            track=partial(tracked, ctx),
            max_side=config.max_side,
        )
        left_out = metrics["left_out"]
    write_rows(ctx.out / "index.jsonl", _supervised(ctx, config, trimaps))
    counted = _count(ctx.out)
    _enough(counted, config.domains)
    return {"counts": counted, "left_out": left_out}


def _supervised(ctx: Context, config: PrepareStep, trimaps: TrimapOptions) -> list[Row]:
    """The rows with what they may teach: weakened, excluded, solved in closed form."""
    rows = read_index(ctx.out)
    rows = [weaken(ctx.out, row, trimaps) if row["domain"] in config.weaken else row for row in rows]
    for row in rows:
        kinds = config.learn_from.get(row["domain"])
        if row["split"] == "train" and kinds is not None and row["kind"] not in kinds:
            row["split"] = EXCLUDED
    if config.closed_form:
        for row in tracked(ctx, [row for row in rows if row["split"] == "train" and row.get("trimap")]):
            teach(ctx.out, row)
    return rows


def _count(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for row in read_index(folder):
        splits = counts.setdefault(row["domain"], {}).setdefault(row["kind"], {})
        splits[row["split"]] = splits.get(row["split"], 0) + 1
    return counts


def _enough(counts: dict[str, dict[str, dict[str, int]]], domains: dict[str, str]) -> None:
    kinds = (*MEASURED, FOREGROUND, *WITH_TRIMAP)
    if not any(counts[name].get(kind, {}).get("train") for name in counts if name != BACKGROUND for kind in kinds):
        raise DataError(
            f"no picture to train on: expected rows of kind {', '.join(kinds)} in manifest.csv, and data.learn_from to "
            "name them"
        )
    for domain in domains:
        if not any(counts.get(domain, {}).get(kind, {}).get("heldout") for kind in MEASURED):
            raise DataError(
                f"domain '{domain}' has no held-out picture: it needs rows of kind alpha or pseudo-alpha "
                "(raise data.heldout.* if there are some)"
            )
