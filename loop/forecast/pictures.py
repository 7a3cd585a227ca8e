"""How many pictures of each domain and kind a run will have: rows of the data roots, or of the drawn data set."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from loop.config.found import data_roots
from loop.config.schema import Config, DataConfig
from stylematte.data.roots import all_rows
from stylematte.errors import DataError

LABELLED = ("alpha", "pseudo-alpha")
PHOTOS = ("none", "mask")


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


def pictures(config: Config) -> Pictures:
    """Of data.root's manifest (none where it cannot be read) or of data.drawn. Held-out ones by their percentages."""
    data, drawn = config.data, config.data.drawn
    if not data.all_roots():
        domains = dict.fromkeys(data.domains, 0)
        total = len(domains) * (drawn.alpha + drawn.heldout + drawn.none) + drawn.backgrounds
        return Pictures(
            total,
            {name: drawn.alpha for name in domains},
            {name: drawn.heldout for name in domains},
            {name: drawn.none for name in domains},
        )
    counts = _rows(data)
    if data.max_per_source:
        counts = Counter({key: min(count, data.max_per_source) for key, count in counts.items()})
    wanted = {*data.domains.values(), *data.extra_subjects, "background"}
    percent = {"alpha": data.heldout.alpha, "pseudo-alpha": data.heldout.pseudo_alpha}
    held = {
        name: round(sum(counts[subject, kind] * percent[kind] / 100 for kind in LABELLED))
        for name, subject in data.domains.items()
    }
    all_labelled = {name: sum(counts[subject, kind] for kind in LABELLED) for name, subject in data.domains.items()}
    return Pictures(
        sum(count for (subject, _), count in counts.items() if subject in wanted),
        {name: count - held[name] for name, count in all_labelled.items()},
        held,
        {name: sum(counts[subject, kind] for kind in PHOTOS) for name, subject in data.domains.items()},
    )


def _rows(data: DataConfig) -> Counter[tuple[str, str]]:
    """(subject, kind) -> rows."""
    try:
        return Counter((row.subject, row.kind) for row in all_rows(data_roots(data), data.domains))
    except DataError:
        return Counter()
