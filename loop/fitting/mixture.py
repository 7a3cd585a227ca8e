"""The sources of a matter's training batches, and the share of the loss that each has.

Real pictures keep at least `real_weight` of the loss; the roads from unlabelled photos to the matter share the rest
(`road_shares`). Kept pairs come from all rounds so far unless the plan gives those of the last alone (accumulating
pools bound the error of self-training, replacing them does not: Gerstgrasser et al., 2404.01413), each weighed by
matter.later.pair_age to the power of its age in rounds; whatever they weigh, real pictures keep their share.

Real are the photos with an alpha, and those with a trimap made by hand or of a mask (unless data.mask_as says that
masks are alphas).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from loop.config.schema import MaskAs
from loop.config.steps import FitMatterStep
from loop.engine.stage import Context
from loop.pools import Row, absolute, data_rows, read_index
from stylematte.config import Placement
from stylematte.data.datamodule import Source
from stylematte.data.manifest import FOREGROUND, MEASURED

EXTRA_SHARE = 0.5  # of a domain's share: extra subjects help with edges, they are not what is measured
NAMES = {name: name for name in ("photos", "cutouts", "enhanced")} | {"pairs": "generated", "trimaps": "unlabelled"}
"""Road -> what its source is called after its domain."""


class Real(NamedTuple):
    """Real pictures of one kind of supervision: their rows, and their share of what all real pictures get."""

    name: str
    rows: list[Row]
    share: float
    by_trimap: bool = False
    new_background: float | None = None


def matter_sources(ctx: Context, config: FitMatterStep) -> list[Source]:
    """Real sources of every domain, then those of the roads that are open, road by road."""
    real = _real(ctx, config)
    roads = {} if config.real_weight >= 1 else _roads(ctx, config)
    shares = road_shares(
        1 - config.real_weight,
        weights_of(config),
        {road: {domain: len(rows) for domain, rows in found.items()} for road, found in roads.items()},
        {domain: sum(len(r.rows) for r in real if r.name.startswith(f"{domain}/")) for domain in config.domains},
    )
    real_share = 1 - sum(sum(of_road.values()) for of_road in shares.values())
    total = sum(r.share for r in real)
    sources = [Source(r.name, r.rows, real_share * r.share / total, 1.0, r.by_trimap, r.new_background) for r in real]
    if config.fit.placement is Placement.everywhere:
        sources = [s._replace(placed_as=s.rows) if "/labelled" in s.name else s for s in sources]
    for road, found in roads.items():
        for domain, rows in found.items():
            sources.append(_road_source(ctx, config, road, domain, rows, shares[road][domain]))
    return sources


def road_shares(
    most: float, weights: Mapping[str, float], pictures: Mapping[str, Mapping[str, int]], real: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Share of the loss of each road's pictures of each domain; in all at most `most`.

    weights: of the roads, relative to those that have pictures of the domain. pictures: how many, by road and domain.
    real: how many real ones, by domain. Domains that have any get equal parts of `most`. A road gets its part of its
    domain's, but less where no more of it can be used: no picture is seen more often than a real one of its domain.
    """
    domains = {domain for of_road in pictures.values() for domain, count in of_road.items() if count}
    shares: dict[str, dict[str, float]] = {}
    for road, of_road in pictures.items():
        shares[road] = {}
        for domain, count in of_road.items():
            rivals = sum(weights[other] for other, counts in pictures.items() if counts.get(domain))
            part = min(weights[road] / rivals, count / max(real[domain], 1)) if count else 0.0
            shares[road][domain] = most / max(len(domains), 1) * part
    return shares


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
    asked = {"mask": fit.mask_share, "trimap": fit.trimap_share}
    found = []
    for domain in config.domains:
        masks = _rows(data, domain, ("mask",))
        rows = {
            "labelled": _rows(data, domain, (*MEASURED, FOREGROUND)),
            "mask": [row for row in masks if row.get("trimap")] if as_trimap else masks,
            "trimap": _rows(data, domain, ("trimap",)),
        }
        of_domain = fit.shares.get(domain, 1.0)
        for name, part in domain_shares({name: len(rows[name]) for name in rows}, asked).items():
            share = of_domain * part
            if name == "labelled":
                found += labelled_groups(domain, rows[name], share, config.root_shares)
                continue
            by_trimap = name == "trimap" or (name == "mask" and as_trimap)
            found.append(Real(f"{domain}/{name}", rows[name], share, by_trimap))
    for subject in config.extra_subjects:
        rows_here = _rows(data, subject, (*MEASURED, FOREGROUND))
        found += labelled_groups(subject, rows_here, fit.shares.get(subject, EXTRA_SHARE), []) if rows_here else []
    return [real for real in found if real.share > 0]


def labelled_groups(domain: str, rows: Sequence[Row], share: float, root_shares: Sequence[float | None]) -> list[Real]:
    """The labelled pictures of a domain by what may be done with them: photos and foregrounds without a photo, and
    those of each data root where roots have shares (`root_shares`, by number). Groups get parts of `share` by the
    shares of their roots, else by their counts."""
    groups: dict[tuple[int, bool], list[Row]] = {}
    for row in rows:
        root = row.get("root", 0) if root_shares else 0
        groups.setdefault((root, row["kind"] == FOREGROUND), []).append(row)
    of_root = {root: sum(len(found) for (r, _), found in groups.items() if r == root) for root, _ in groups}
    weights = {
        key: len(found) * ((root_shares[key[0]] or 0.0) / of_root[key[0]] if root_shares else 1.0)
        for key, found in groups.items()
    }
    total = sum(weights.values())
    return [
        Real(
            f"{domain}/labelled" + (f"-{root}" if root_shares else "") + ("-foregrounds" if cut_out else ""),
            found,
            share * weights[root, cut_out] / total if len(groups) > 1 else share,
            new_background=1.0 if cut_out else None,
        )
        for (root, cut_out), found in sorted(groups.items())
    ]


def _roads(ctx: Context, config: FitMatterStep) -> dict[str, dict[str, list[Row]]]:
    """The pictures of every open road by domain; domains without any are not in it."""
    found: dict[str, dict[str, list[Row]]] = {}
    for road in weights_of(config):
        pool = {"pairs": "pairs/", "enhanced": "enhanced/"}.get(road)
        by_domain = _pairs(ctx, config, pool) if pool else {d: _labels(ctx, d, road) for d in config.domains}
        found[road] = {domain: rows for domain, rows in by_domain.items() if rows}
    return found


def _road_source(ctx: Context, config: FitMatterStep, road: str, domain: str, rows: list[Row], share: float) -> Source:
    source = Source(f"{domain}/{NAMES[road]}", rows, share)
    if road == "photos":
        return source._replace(new_background=0.0, strength=config.student_photometry)
    if road == "trimaps":
        return source._replace(by_trimap=True)
    placed_as = _rows(ctx.inputs["data"], domain, MEASURED) if config.fit.placement is not Placement.free else []
    return source._replace(new_background=1.0, placed_as=placed_as)


def _rows(data: Path, domain: str, kinds: Sequence[str]) -> list[Row]:
    return [absolute(data, row) for row in data_rows(data, "train", domain, kinds)]


def _labels(ctx: Context, domain: str, road: str) -> list[Row]:
    """Unlabelled photos with what `label` wrote of them this round for a road."""
    data, labels = ctx.inputs["data"], ctx.inputs[f"labels/{domain}"]
    images = {"alpha": "alpha", "foreground": "colour"}  # key here: key in the index of `label`
    wanted = {"photos": {**images, "agreement": "agreement"}, "cutouts": images}.get(road, {"trimap": "trimap"})
    first = next(iter(wanted.values()))
    written = {row["id"]: row for row in read_index(labels) if row.get(first)}
    rows = []
    for photo in _rows(data, domain, ("none",)):
        if photo["id"] in written:
            label = written[photo["id"]]
            rows.append({**photo, **{key: str(labels / label[name]) for key, name in wanted.items()}})
            if road == "photos":
                rows[-1]["confidence"] = label["confidence"]
    return rows


def weights_of(config: FitMatterStep) -> dict[str, float]:
    """Relative weights of all that joins the real pictures: the open roads, and enhanced pairs where there are any."""
    return config.roads.open() | ({"enhanced": config.enhanced} if config.enhanced else {})


def _pairs(ctx: Context, config: FitMatterStep, prefix: str) -> dict[str, list[Row]]:
    pairs: dict[str, list[Row]] = {}
    for name, pool in ctx.inputs.items():
        if name.startswith(prefix):
            rows = [absolute(pool, row) for row in read_index(pool) if row["kept"]]
            if config.pair_age < 1:
                age = config.round - int(name.split("/")[1])
                rows = [{**row, "confidence": row.get("confidence", 1.0) * config.pair_age**age} for row in rows]
            if rows:
                pairs.setdefault(name.rsplit("/", 1)[-1], []).extend(rows)
    return {domain: _mean_one(rows) for domain, rows in pairs.items()} if config.pair_age < 1 else pairs


def _mean_one(rows: list[Row]) -> list[Row]:
    """The same with their confidences scaled to a mean of 1: who is believed more changes, not how much in all."""
    mean = sum(row["confidence"] for row in rows) / len(rows)
    return [{**row, "confidence": row["confidence"] / mean} for row in rows] if mean > 0 else rows
