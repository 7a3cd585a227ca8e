"""What one batch of the matter's fit is made of: which sources, how many places, how much weight.

Real pictures keep at least `real_weight` of the loss; kept pairs of all rounds so far share the rest (accumulating
pools bound the error of self-training, replacing them does not: Gerstgrasser et al., 2404.01413). A handful of pairs
does not get it all: no generated pair is seen more often than a real picture of its domain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop.stage import Context
from loop.stages.pools import LABELLED, Row, data_rows, read_index
from stylematte.data.datamodule import Source

EXTRA_SHARE = 0.5  # of a domain's share: extra subjects help with edges, they are not what is measured


def matter_sources(ctx: Context) -> list[Source]:
    """Real sources of every domain, then one source of kept pairs for each domain (all rounds together)."""
    fit = ctx.config["fit"]
    pairs = {} if fit["real_weight"] >= 1 else _pairs(ctx)
    real = _real(ctx.inputs["data"], list(ctx.config["domains"]), ctx.config["extra_subjects"], fit["mask_share"])
    generated = generated_shares(
        1 - fit["real_weight"],
        {domain: len(rows) for domain, rows in pairs.items()},
        {domain: sum(len(rows) for name, rows, _ in real if name.startswith(f"{domain}/")) for domain in pairs},
    )
    real_share, total = 1 - sum(generated.values()), sum(share for _, _, share in real)
    sources = [Source(name, rows, real_share * share / total, 1.0, True) for name, rows, share in real]
    for domain, rows in pairs.items():
        sources.append(Source(f"{domain}/generated", rows, generated[domain], 1.0, False))
    return sources


def generated_shares(most: float, pairs: dict[str, int], real: dict[str, int]) -> dict[str, float]:
    """Share of the loss for each domain's kept pairs: `most` in equal parts, less where pairs are fewer than real ones.

    pairs, real: how many of each, by domain.
    """
    return {domain: most / len(pairs) * min(1.0, count / max(real[domain], 1)) for domain, count in pairs.items()}


def _real(data: Path, domains: list[str], extra: list[str], mask_share: float) -> list[tuple[str, list[Row], float]]:
    found = []
    for domain in domains:
        labelled, masks = (_absolute(data, data_rows(data, "train", domain, kinds)) for kinds in (LABELLED, ["mask"]))
        share = mask_share if labelled else 1.0
        if labelled:
            found.append((f"{domain}/labelled", labelled, 1 - mask_share if masks else 1.0))
        if masks and share > 0:
            found.append((f"{domain}/mask", masks, share))
    for subject in extra:
        rows = _absolute(data, data_rows(data, "train", subject))
        if rows:
            found.append((f"{subject}/labelled", rows, EXTRA_SHARE))
    return [entry for entry in found if entry[2] > 0]


def _pairs(ctx: Context) -> dict[str, list[Row]]:
    pairs: dict[str, list[Row]] = {}
    for name, pool in ctx.inputs.items():
        if name.startswith("pairs/"):
            rows = [{**row, "rgba": str(pool / row["rgba"])} for row in read_index(pool) if row["kept"]]
            if rows:
                pairs.setdefault(name.rsplit("/", 1)[-1], []).extend(rows)
    return pairs


def _absolute(data: Path, rows: list[Row]) -> list[dict[str, Any]]:
    paths = ("image", "alpha", "foreground")
    return [{**row, **{key: str(data / row[key]) for key in paths if row.get(key)}} for row in rows]
