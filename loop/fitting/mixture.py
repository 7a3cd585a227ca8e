"""The sources of a matter's training batches, and the share of the loss that each has.

Real pictures keep at least `real_weight` of the loss; kept pairs of all rounds so far share the rest (accumulating
pools bound the error of self-training, replacing them does not: Gerstgrasser et al., 2404.01413). A handful of pairs
does not get it all: no generated pair is seen more often than a real picture of its domain.

Real are the photos with an alpha, and those with a trimap alone: made by hand, of a mask (unless data.mask_as says
that masks are alphas), or by `label` of what the accepted matter is sure of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loop.config.schema import MaskAs
from loop.config.steps import FitMatterStep
from loop.engine.stage import Context
from loop.pools import Row, absolute, data_rows, read_index
from stylematte.data.datamodule import Source
from stylematte.data.manifest import MEASURED

EXTRA_SHARE = 0.5  # of a domain's share: extra subjects help with edges, they are not what is measured


class Real(NamedTuple):
    """Real pictures of one kind of supervision: their rows, and their share of what all real pictures get."""

    name: str
    rows: list[Row]
    share: float
    by_trimap: bool = False


def matter_sources(ctx: Context, config: FitMatterStep) -> list[Source]:
    """Real sources of every domain, then one source of kept pairs for each domain (all rounds together)."""
    pairs = {} if config.real_weight >= 1 else _pairs(ctx)
    real = _real(ctx, config)
    generated = generated_shares(
        1 - config.real_weight,
        {domain: len(rows) for domain, rows in pairs.items()},
        {domain: sum(len(r.rows) for r in real if r.name.startswith(f"{domain}/")) for domain in pairs},
    )
    real_share, total = 1 - sum(generated.values()), sum(r.share for r in real)
    sources = [Source(r.name, r.rows, real_share * r.share / total, 1.0, r.by_trimap) for r in real]
    for domain, rows in pairs.items():
        sources.append(Source(f"{domain}/generated", rows, generated[domain]))
    return sources


def generated_shares(most: float, pairs: dict[str, int], real: dict[str, int]) -> dict[str, float]:
    """Share of the loss for each domain's kept pairs: `most` in equal parts, less where pairs are fewer than real ones.

    pairs, real: how many of each, by domain.
    """
    return {domain: most / len(pairs) * min(1.0, count / max(real[domain], 1)) for domain, count in pairs.items()}


def domain_shares(pictures: dict[str, int], asked: dict[str, float]) -> dict[str, float]:
    """Share of a domain's real pictures in a batch for each kind of supervision that has pictures; they add up to 1.

    pictures: how many of each, the truest first: it takes what the others leave. asked: the shares of the others.
    """
    there = [name for name, count in pictures.items() if count]
    others = {name: asked.get(name, 0.0) for name in there[1:]}
    return {name: others.get(name, 1 - sum(others.values())) for name in there}


def _real(ctx: Context, config: FitMatterStep) -> list[Real]:
    data, fit = ctx.inputs["data"], config.fit
    as_trimap = config.mask_as is MaskAs.trimap
    asked = {"mask": fit.mask_share, "trimap": fit.trimap_share, "unlabelled": config.unlabelled_share}
    found = []
    for domain in config.domains:
        masks = _rows(data, domain, ("mask",))
        rows = {
            "labelled": _rows(data, domain, MEASURED),
            "mask": [row for row in masks if row.get("trimap")] if as_trimap else masks,
            "trimap": _rows(data, domain, ("trimap",)),
            "unlabelled": _confident(ctx, domain) if config.unlabelled_share else [],
        }
        for name, share in domain_shares({name: len(rows[name]) for name in rows}, asked).items():
            by_trimap = name in ("trimap", "unlabelled") or (name == "mask" and as_trimap)
            found.append(Real(f"{domain}/{name}", rows[name], share, by_trimap))
    for subject in config.extra_subjects:
        rows_here = _rows(data, subject, MEASURED)
        if rows_here:
            found.append(Real(f"{subject}/labelled", rows_here, EXTRA_SHARE))
    return [real for real in found if real.share > 0]


def _rows(data: Path, domain: str, kinds: Sequence[str]) -> list[Row]:
    return [absolute(data, row) for row in data_rows(data, "train", domain, kinds)]


def _confident(ctx: Context, domain: str) -> list[Row]:
    """Unlabelled photos with the trimaps that `label` wrote this round."""
    data, labels = ctx.inputs["data"], ctx.inputs[f"labels/{domain}"]
    trimaps = {row["id"]: str(labels / row["trimap"]) for row in read_index(labels) if row["trimap"]}
    photos = data_rows(data, "train", domain, ("none",))
    return [{**absolute(data, row), "trimap": trimaps[row["id"]]} for row in photos if row["id"] in trimaps]


def _pairs(ctx: Context) -> dict[str, list[Row]]:
    pairs: dict[str, list[Row]] = {}
    for name, pool in ctx.inputs.items():
        if name.startswith("pairs/"):
            rows = [absolute(pool, row) for row in read_index(pool) if row["kept"]]
            if rows:
                pairs.setdefault(name.rsplit("/", 1)[-1], []).extend(rows)
    return pairs
