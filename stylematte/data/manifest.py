"""Reading manifest.csv of a data root: its rows, which of them are wanted, and which are held out.

A data root is a folder with `manifest.csv`: one row per picture, columns file, alpha, subject, kind, and trimap if
there are any (others are ignored), paths relative to the root. Truth of the kinds: alpha > pseudo-alpha > mask,
trimap; `none` is an unlabelled photo, `background` a photo without a subject. Rows of kind `generated-rgba` are not
photographs and are passed over. A row of kind `trimap` needs a trimap; a row of kind `mask` may have one, else one is
made from its mask; the trimaps of rows with an alpha are not read, the alpha says more. A row of kind `foreground` is a
cut-out that was never photographed as a whole. A column `split` is kept: `train` trains, another word is held out.

Which labelled pictures are held out depends on their file names alone, so adding pictures never moves another one
from training into measurement or back.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from stylematte.errors import DataError

COLUMNS = ("file", "alpha", "subject", "kind")
FOREGROUND = "foreground"
"""Kind of a cut-out that was never photographed as a whole: its colours and its alpha, always on new backgrounds."""
WITH_ALPHA = ("alpha", "pseudo-alpha", "mask", FOREGROUND)
"""Kinds with a file in the column alpha."""
WITH_TRIMAP = ("trimap", "mask")
"""Kinds that train with a trimap."""
MEASURED = ("alpha", "pseudo-alpha")
"""Kinds true enough to measure against."""
PASSED_OVER = ("generated-rgba",)
KINDS = (*WITH_ALPHA, "trimap", "none", "background", *PASSED_OVER)
BACKGROUND = "background"
PICTURES = ("image", "alpha", "foreground", "trimap", "closed_form", "rgba", "agreement")
"""Keys of a record that name files."""

Record = dict[str, Any]


class ManifestRow(NamedTuple):
    """One picture of a data root; file, alpha and trimap are relative to it."""

    file: str
    alpha: str | None
    subject: str
    kind: str
    trimap: str | None = None
    split: str = ""
    root: int = 0
    """Which of several data roots it is in."""


def read_manifest(root: str | os.PathLike[str]) -> list[ManifestRow]:
    """The rows of root/manifest.csv, in order. Raises DataError."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"data root {root} is not a folder: set data.root to a folder with manifest.csv, or to null")
    path = root / "manifest.csv"
    if not path.is_file():
        raise DataError(f"{path} is missing: write one row per picture with the columns {', '.join(COLUMNS)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            table = list(reader)
            columns = [column for column in reader.fieldnames or []]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no UTF-8 comma separated table: {error}") from None
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}: it has {', '.join(columns) or 'none'}")
    return [_row(path, number, values) for number, values in enumerate(table, start=2)]


def _row(path: Path, number: int, values: Mapping[str, str | None]) -> ManifestRow:
    file, alpha, subject, kind = ((values[column] or "").strip() for column in COLUMNS)
    if kind not in KINDS:
        raise DataError(f"{path} line {number}: unknown kind '{kind}', expected one of {', '.join(KINDS)}")
    if not file or not subject:
        raise DataError(f"{path} line {number}: file and subject must not be empty")
    trimap = (values.get("trimap") or "").strip() if kind in WITH_TRIMAP else ""
    split = (values.get("split") or "").strip()
    return ManifestRow(file, alpha if alpha and kind in WITH_ALPHA else None, subject, kind, trimap or None, split)


def name_hash(file_name: str) -> int:
    """A number in [0, 10000) from the base name of a file, equal on every machine."""
    name = PurePosixPath(file_name.replace("\\", "/")).name
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 10_000


def heldout(file_name: str, percent: float) -> bool:
    """Whether the picture is held out when `percent` percent (0 to 100) are, by its base name alone."""
    return name_hash(file_name) < percent * 100


def wanted_rows(
    rows: Sequence[ManifestRow], domains: Mapping[str, str], extra_subjects: Sequence[str], limit: int
) -> list[tuple[str, ManifestRow]]:
    """(domain, row) of the rows to prepare, in manifest order, at most `limit` per (subject, kind) if limit > 0.

    Extra subjects and backgrounds are domains of their own name. Raises DataError on an unknown subject.
    """
    domain_of = {subject: domain for domain, subject in domains.items()}
    clash = [name for name in (*extra_subjects, BACKGROUND) if name in domain_of or name in domains]
    if clash or len(domain_of) < len(domains):
        raise DataError(f"a subject can belong to one domain only: check {', '.join(clash or domains)}")
    domain_of |= {subject: subject for subject in (*extra_subjects, BACKGROUND)}
    usable = [row for row in rows if row.kind not in PASSED_OVER]
    for subject in (*domains.values(), *extra_subjects):
        if not any(row.subject == subject for row in usable):
            known = ", ".join(sorted({row.subject for row in usable} - {BACKGROUND})) or "none"
            raise DataError(f"no picture of subject '{subject}' in the manifest, it has: {known}")
    taken: dict[tuple[str, str], int] = {}
    chosen = []
    for row in usable:
        taken[row.subject, row.kind] = taken.get((row.subject, row.kind), 0) + 1
        if row.subject in domain_of and not 0 < limit < taken[row.subject, row.kind]:
            chosen.append((domain_of[row.subject], row))
    return chosen


def assign_splits(
    records: Sequence[Record],
    domains: Sequence[str],
    percents: Mapping[str, float],
    official: Mapping[str, str] | None = None,
) -> None:
    """Set record["split"] of every record, in place.

    A picture of a domain with a measured kind is held out by `heldout(source, percents[kind])`, everything else
    trains. official: record id -> "heldout" or "train", where the data set says so. If
    that leaves a domain with two or more such pictures without a held-out one, the one with the smallest name hash is
    held out; if it leaves none of them to train, the one with the largest hash trains.
    """
    official = official or {}
    for record in records:
        measured = record["domain"] in domains and record["kind"] in MEASURED
        out = measured and heldout(record["source"], percents.get(record["kind"], 0))
        record["split"] = official.get(record.get("id", ""), "heldout" if out else "train")
    for domain in domains:
        own = [r for r in records if r["domain"] == domain and r["kind"] in MEASURED]
        own.sort(key=lambda r: (name_hash(r["source"]), r["source"]))
        splits = {record["split"] for record in own}
        free = [record for record in own if record.get("id") not in official]
        if free and len(own) >= 2 and len(splits) == 1:
            record, split = (free[0], "heldout") if splits == {"train"} else (free[-1], "train")
            record["split"] = split
