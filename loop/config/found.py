"""What `run` will read of the data folders, counted before any work, and why it could not start. Nothing is opened but
manifests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loop.config.schema import Config, DataConfig
from stylematte.data.manifest import (
    BACKGROUND,
    FOREGROUND,
    MEASURED,
    WITH_TRIMAP,
    ManifestRow,
    assign_splits,
    wanted_rows,
)
from stylematte.data.released import ALL
from stylematte.data.roots import DataRoot, all_rows, is_heldout, layout_of
from stylematte.errors import DataError


class Found(NamedTuple):
    """roots: (folder, layout, pictures) of each. groups: (domain, kind, split) -> pictures. problems: why `run` could
    not start, a line each."""

    roots: list[tuple[str, str, int]]
    groups: dict[tuple[str, str, str], int]
    problems: list[str]

    def lines(self) -> list[str]:
        """What was found, to show."""
        lines = [f"{folder}: {layout}, {count} pictures" for folder, layout, count in self.roots]
        kinds: dict[str, list[str]] = {}
        for (domain, kind, split), count in sorted(self.groups.items()):
            kinds.setdefault(domain, []).append(f"{count} {kind}" + (" held out" if split == "heldout" else ""))
        return lines + [f"{domain}: {', '.join(parts)}" for domain, parts in kinds.items()]


def data_roots(data: DataConfig) -> list[DataRoot]:
    return [DataRoot(Path(r.root).expanduser(), r.domain, r.kind, r.layout, r.share) for r in data.all_roots()]


def found(config: Config) -> Found:
    """Of the pictures of a configuration; nothing where they are drawn by code."""
    data, roots = config.data, data_roots(config.data)
    if not roots:
        return Found([], {}, [])
    try:
        rows = all_rows(roots, data.domains)
        wanted = wanted_rows(rows, data.domains, data.extra_subjects, data.max_per_source)
    except DataError as error:
        return Found([], {}, [str(error)])
    counts = Counter(row.root for row in rows)
    listed = [
        (str(r.path), layout_of(r.path) if r.layout == "auto" else r.layout, counts[n]) for n, r in enumerate(roots)
    ]
    groups = Counter(_splits(config, wanted))
    missing = [roots[row.root].path / row.file for _, row in wanted if not (roots[row.root].path / row.file).is_file()]
    problems = list(_problems(config, groups))
    if missing and len(missing) == len(wanted):
        problems.append(f"none of {len(wanted)} files is there, for example {missing[0]}")
    return Found(listed, dict(groups), problems)


def kinds_in(data: DataConfig) -> set[str]:
    """The kinds of pictures that the data roots list; none if they cannot be read (`prepare` says why)."""
    if not data.all_roots():
        return {"alpha", "none"}
    try:
        return {row.kind for row in all_rows(data_roots(data), data.domains)}
    except DataError:
        return set()


def _splits(config: Config, wanted: list[tuple[str, ManifestRow]]) -> Iterator[tuple[str, str, str]]:
    """(domain, kind, split) of each row, as `prepare` will have it if every picture can be read."""
    percents = {"alpha": config.data.heldout.alpha, "pseudo-alpha": config.data.heldout.pseudo_alpha}
    records = [
        {"id": str(number), "domain": domain, "kind": row.kind, "source": row.file}
        for number, (domain, row) in enumerate(wanted)
    ]
    official = {
        str(number): "heldout" if is_heldout(row.split) else "train"
        for number, (_, row) in enumerate(wanted)
        if row.split not in ("", ALL)
    }
    assign_splits(records, list(config.data.domains), percents, official)
    for record in records:
        composed = record["kind"] == FOREGROUND and record["split"] == "heldout"
        yield record["domain"], "alpha" if composed else record["kind"], record["split"]


def _problems(config: Config, groups: Counter[tuple[str, str, str]]) -> Iterator[str]:
    data = config.data
    teaching = (*MEASURED, FOREGROUND, *WITH_TRIMAP)
    if not any(domain != BACKGROUND and kind in teaching and split == "train" for domain, kind, split in groups):
        yield f"no picture to train on: expected pictures of kind {', '.join(teaching)}"
    for domain in data.domains:
        if not any(groups[domain, kind, "heldout"] for kind in MEASURED):
            yield (
                f"domain '{domain}' has no held-out picture: it needs pictures of kind alpha or pseudo-alpha whose "
                "split is not train (or that have none)"
            )
