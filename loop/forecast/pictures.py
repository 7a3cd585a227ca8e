"""How many pictures of each domain and kind a run will have, and how large: rows of the data roots, or of the drawn
data set. Sizes are read from the heads of some files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loop.config.found import data_roots
from loop.config.schema import Config, DataConfig
from stylematte.data.folders import Frame
from stylematte.data.manifest import PASSED_OVER, ManifestRow
from stylematte.data.roots import DataRoot, all_rows
from stylematte.errors import BadPicture, DataError
from stylematte.imagecode import upright_size

LABELLED = ("alpha", "pseudo-alpha")
PHOTOS = ("none", "mask")
LOOKED_AT = 200
"""Files whose heads are read for their sizes: every so-manieth of those that `prepare` reads."""


class Pictures(NamedTuple):
    """Of all domains, or of one."""

    total: int
    """That `prepare` reads, backgrounds among them."""
    labelled: dict[str, int]
    """Domain -> training pictures with an alpha."""
    heldout: dict[str, int]
    """Domain -> held-out pictures."""
    photos: dict[str, int]
    """Domain -> photos that `label` looks at."""
    masked: int
    """With a mask, of all subjects: they get an alpha, a foreground and a trimap."""
    extra: int
    """With an alpha, of extra subjects."""
    read: float
    """Pixels of a picture's file, in the mean."""
    kept: float
    """Pixels of a picture as `prepare` keeps it, in the mean."""


def pictures(config: Config) -> Pictures:
    """Of data.root's manifest (none where it cannot be read) or of data.drawn. Held-out ones by their percentages."""
    data, drawn = config.data, config.data.drawn
    if not data.all_roots():
        domains = dict.fromkeys(data.domains, 0)
        total = len(domains) * (drawn.alpha + drawn.heldout + drawn.none) + drawn.backgrounds
        pixels = float((data.max_side or data.size) ** 2)
        return Pictures(
            total,
            {name: drawn.alpha for name in domains},
            {name: drawn.heldout for name in domains},
            {name: drawn.none for name in domains},
            masked=0,
            extra=0,
            read=pixels,
            kept=pixels,
        )
    rows = _rows(data)
    counts = Counter((row.subject, row.kind) for row in rows)
    if data.max_per_source:
        counts = Counter({key: min(count, data.max_per_source) for key, count in counts.items()})
    wanted = {*data.domains.values(), *data.extra_subjects, "background"}
    percent = {"alpha": data.heldout.alpha, "pseudo-alpha": data.heldout.pseudo_alpha}
    held = {
        name: round(sum(counts[subject, kind] * percent[kind] / 100 for kind in LABELLED))
        for name, subject in data.domains.items()
    }
    read, kept = _pixels(data, [row for row in rows if row.subject in wanted])
    all_labelled = {name: sum(counts[subject, kind] for kind in LABELLED) for name, subject in data.domains.items()}
    return Pictures(
        sum(count for (subject, _), count in counts.items() if subject in wanted),
        {name: count - held[name] for name, count in all_labelled.items()},
        held,
        {name: sum(counts[subject, kind] for kind in PHOTOS) for name, subject in data.domains.items()},
        masked=sum(counts[subject, "mask"] for subject in wanted),
        extra=sum(counts[subject, kind] for subject in data.extra_subjects for kind in LABELLED),
        read=read,
        kept=kept,
    )


def _rows(data: DataConfig) -> list[ManifestRow]:
    try:
        return [row for row in all_rows(data_roots(data), data.domains) if row.kind not in PASSED_OVER]
    except DataError:
        return []


def _pixels(data: DataConfig, rows: Sequence[ManifestRow]) -> tuple[float, float]:
    """(read, kept) of a picture in the mean of some; squares of the longest side where none can be read."""
    frame, roots = Frame(data.size, data.max_side), data_roots(data)
    sizes = [size for row in rows[:: max(1, len(rows) // LOOKED_AT)] if (size := _size(roots[row.root], row))]
    sizes = sizes or [(data.max_side or data.size,) * 2]
    return _mean_area(sizes), _mean_area([frame.size_of(*size) for size in sizes])


def _size(root: DataRoot, row: ManifestRow) -> tuple[int, int] | None:
    """(height, width); None where it cannot be read: `prepare` will say why."""
    try:
        return upright_size(Path(root.path) / row.file)
    except BadPicture:
        return None


def _mean_area(sizes: Sequence[tuple[int, int]]) -> float:
    return sum(height * width for height, width in sizes) / len(sizes)
