"""Makes a released-style data set from a generator: samples, ingest, refinement, shards; then files, manifest, card.

    OUT/pool/NNNNNN.tar, .jsonl   every candidate: kept ones with pictures, refused ones with the reason
    OUT/train/, OUT/val/          fg/KEY.png and alpha/KEY.png, or shards
    OUT/manifest.csv              a row for each pair
    OUT/README.md, OUT/sheets/    the card, and contact sheets

Shard s is the candidates per_shard * s and on, a function of the configuration alone: whatever was killed, the same
command goes on at the first shard that is not whole, and several machines take turns (rank of world). What is released
are the first `count` kept entries in that order, so it does not depend on who made which shard either.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from loop.datasets.card import write_card
from loop.datasets.config import DatasetConfig
from loop.datasets.registry import make_generator
from loop.engine.lock import one_writer
from stylematte.atomic import replace_file
from stylematte.errors import ConfigError, DataError
from stylematte.fields import to_plain
from stylematte.generators.ingest import ingest
from stylematte.pools.duplicates import group_of
from stylematte.pools.place import LocalPlace, place
from stylematte.pools.pool import Pool, Row, open_pool
from stylematte.pools.rewrite import assigned, export_files, write_pool
from stylematte.pools.writer import Entry, rgba_entry, shard_name, write_shard
from stylematte.refine.alpha import refine_alpha
from stylematte.refine.figures import Figures
from stylematte.rgba_generator import RGBAGenerator, RGBASample, Unusable
from stylematte.shards import INDEX, SHARD
from stylemattegan.framing import frame_cutout

COLUMNS = ("file", "alpha", "subject", "kind", "split", "id", "generator", "licence", "seed", "prompt", "foreground")
KIND = "generated-rgba"
ASKED = "dataset.json"
PER_PAIR = 10
"""Candidates for a pair that a generator without end may take."""


class Built(NamedTuple):
    pairs: int
    candidates: int
    refused: int
    missing: int
    """Shards that other ranks have still to make; 0: the data set is complete."""


def build_dataset(
    config: DatasetConfig,
    rank: int = 0,
    world: int = 1,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Built:
    """Make the data set, or go on with it. Raises ConfigError, DataError.

    Ranks after the first make their shards alone; the first one releases, once all shards are there.
    """
    if not 0 <= rank < world:
        raise ConfigError(f"rank {rank} of {world}: expected 0 to {world - 1}")
    out = Path(config.out).expanduser()
    out.mkdir(parents=True, exist_ok=True)
    _same_question(out, config)
    generator = make_generator(config.source.generator, config.source.options)
    at = LocalPlace(out / "pool")
    with one_writer(out / f".rank{rank}"):
        need = config.count
        while True:
            for number in track(_due(at, config, generator, need, rank, world)):
                write_shard(at, shard_name(number), _entries(config, generator, number))
            short = _kept(at, need) < need
            missing = _shards(config, generator) - _prefix(at) if short else 0
            if rank or missing:
                return Built(0, 0, 0, missing)
            if not _whole(at):
                raise DataError(f"{out}: the generator gave no candidate")
            pool = _until(open_pool(at.where), need)
            rows = list(_released(pool, config))
            if short or len(rows) == config.count:
                return _release(out, config, pool, rows)
            need += config.count - len(rows)  # so many were near-duplicates


def _due(
    at: LocalPlace, config: DatasetConfig, generator: RGBAGenerator, need: int, rank: int, world: int
) -> Iterator[int]:
    """This rank's shards that are not there, until so many entries are kept in those from the first on."""
    for number in range(rank, _shards(config, generator), world):
        if _kept(at, need) >= need:
            return
        if number not in _whole(at):
            yield number


def _shards(config: DatasetConfig, generator: RGBAGenerator) -> int:
    """How many there are at most."""
    most = config.source.candidates or PER_PAIR * config.count
    if generator.count is not None:
        most = min(config.source.candidates or generator.count, max(generator.count - config.source.first, 0))
    return -(-most // config.per_shard)


def _whole(at: LocalPlace) -> set[int]:
    names = set(at.names())
    numbers = {name.removesuffix(SHARD) for name in names if name.endswith(SHARD)}
    return {int(stem) for stem in numbers if stem.isdigit() and stem + INDEX in names}


def _prefix(at: LocalPlace) -> int:
    """So many shards from the first on are whole."""
    whole = _whole(at)
    return next(number for number in range(len(whole) + 1) if number not in whole)


def _kept(at: LocalPlace, enough: int) -> int:
    """Kept entries in the shards from the first on, without a gap; counting stops at enough."""
    pool = Pool(at, [shard_name(number) for number in range(_prefix(at))])
    return sum(1 for _ in islice(pool.entries(kept_only=True), enough)) if pool.shards else 0


def _until(pool: Pool, count: int) -> Pool:
    """The pool's first shards, as far as the released entries reach."""
    kept, shards = 0, []
    for shard in pool.shards:
        if kept >= count:
            break
        shards.append(shard)
        kept += sum(1 for row in pool.entries_of(shard) if row.get("kept", True))
    return pool._replace(shards=shards)


def _entries(config: DatasetConfig, generator: RGBAGenerator, number: int) -> Iterator[Entry]:
    """Of shard `number`: one of each position, kept or refused."""
    source = config.source
    start, stop = number * config.per_shard, (number + 1) * config.per_shard
    if source.candidates is not None:
        stop = min(stop, source.candidates)
    prompts, cells = _prompts(config, generator, start, stop)
    for index, sample in enumerate(generator.sample(stop - start, source.first + start, prompts)):
        yield _entry(config, generator.name, sample, f"{start + index:08d}", cells[index] if cells else None)


def _prompts(
    config: DatasetConfig, generator: RGBAGenerator, start: int, stop: int
) -> tuple[list[str] | None, list[dict[str, str]]]:
    """The prompts of these positions and their cells; none for a generator that takes no prompts."""
    grid = getattr(generator, "grid", None)
    if grid is None:
        return None, []
    drawn = [grid(config.source.prompts, position) for position in range(start, stop)]
    return [prompt for prompt, _ in drawn], [cell for _, cell in drawn]


def _entry(
    config: DatasetConfig, name: str, sample: RGBASample | Unusable, key: str, cell: dict[str, str] | None
) -> Entry:
    """The sample mended, refined and framed; or without a picture, and why."""
    record: dict[str, Any] = {"id": sample.name, "seed": sample.seed, "generator": name}
    if cell:
        record["cell"] = cell
    if isinstance(sample, Unusable):
        return Entry(key, {**record, "kept": False, "rule": "unusable", "reason": sample.reason}, {})
    record |= {"model": sample.model, "digest": sample.digest, "licence": sample.licence, "prompt": sample.prompt}
    record |= {"group": sample.group, **sample.figures}
    done = ingest(sample, config.ingest)
    record |= {"mended": done.mended, "ingest": done.figures, "bits": config.bits}
    rgba, rule, reason = done.rgba, "ingest", done.refused
    if reason is None and config.refine:
        refined = refine_alpha(rgba[3].numpy(), config.refinement)
        rgba, reason = torch.cat([rgba[:3], torch.from_numpy(refined.alpha)[None]]), refined.verdict.reason
        record["refine"], rule = _plain(refined.figures), f"refine: {refined.verdict.rule}"
    if reason is not None:
        return Entry(key, {**record, "kept": False, "rule": rule, "reason": reason}, {})
    if config.size is not None:
        rgba = frame_cutout(rgba, config.size)
    return rgba_entry(key, {**record, "kept": True}, rgba, config.bits)


def _plain(figures: Figures) -> dict[str, float]:
    """Its numbers, rounded, as JSON has them."""
    values = asdict(figures).items()
    return {name: round(float(value), 5) for name, value in values if isinstance(value, (int, float))}


def _release(out: Path, config: DatasetConfig, pool: Pool, rows: list[Row]) -> Built:
    """Train, val, manifest, card: each file is a function of the pool, so what is there is left alone."""
    if not rows:
        raise DataError(f"{out}: every candidate was refused; `stylematte pool stats {out}/pool` says why")
    if config.form == "files":
        rows = list(export_files(pool, rows, out))
    else:
        for split in ("train", "val"):
            write_pool(pool, (row for row in rows if row["split"] == split), place(out / split), config.per_shard)
        rows = [{**row, "file": f"{row['split']}/{row['key']}", "alpha": ""} for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "subject": config.subject, "kind": KIND})
    replace_file(out / "manifest.csv", table.getvalue())
    counts = [0, 0]
    for row in pool.entries():
        counts[not row.get("kept", True)] += 1
    _sweep(out, pool)
    write_card(out, config, pool, rows)
    return Built(len(rows), sum(counts), counts[1], 0)


def _sweep(out: Path, pool: Pool) -> None:
    """Remove what writers that were killed have left; of the pool, only of shards that are whole by now."""
    for file in out.rglob(".*.tmp"):
        file.unlink()
    for file in out.glob("pool/.*.partial"):
        if any(file.name.startswith(f".{shard}.") for shard in pool.shards):
            file.unlink()


def _released(pool: Pool, config: DatasetConfig) -> Iterator[Row]:
    """The first `count` kept entries that repeat no earlier one, with their split."""
    keys, first = group_of(pool.entries(kept_only=True), config.near_duplicates)
    gone = {keys[i] for i, at in enumerate(first.tolist()) if at != i}
    rows = assigned(pool, config.validation, config.seed, config.near_duplicates)
    yield from islice((row for row in rows if row["key"] not in gone), config.count)


def _same_question(out: Path, config: DatasetConfig) -> None:
    """Refuse to go on with another configuration: its entries could not be told apart. More pairs may be wanted."""
    plain = to_plain(replace(config, out="", count=1))
    for name in ("validation", "seed", "form", "near_duplicates"):
        plain.pop(name)
    file = out / ASKED
    if file.is_file():
        previous = json.loads(file.read_text(encoding="utf-8"))
        differ = [name for name in plain if previous.get(name) != plain[name]]
        if differ:
            was, now = previous.get(differ[0]), plain[differ[0]]
            raise ConfigError(f"{out} was begun with {differ[0]}={was}, now {now}: give another out=")
        return
    replace_file(file, json.dumps(plain, indent=1, sort_keys=True) + "\n")
