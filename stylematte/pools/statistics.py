"""`pool stats`: what a pool holds, counted over its indexes without reading a picture, in memory that does not grow."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from stylematte.pools.pool import Pool

COUNTED = ("generator", "licence", "model", "digest", "domain", "split", "rule")
BINS = 200
MOST_NAMES = 50
"""Different values of a field that are counted one by one; the rest is "others"."""


def statistics(pool: Pool) -> dict[str, Any]:
    """entries, kept, refused, bytes, shards; counts of words; quantiles of the foreground's share; cells of prompts."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*COUNTED, "size")}
    cells: dict[str, list[int]] = {}
    shares = np.zeros(BINS + 1, np.int64)
    entries = kept = 0
    for row in pool.entries():
        entries += 1
        stays = bool(row.get("kept", True))
        kept += stays
        for name in COUNTED:
            if row.get(name):
                _count(counts[name], str(row[name]))
        for axis, choice in (row.get("cell") or {}).items():
            cell = cells.setdefault(f"{axis}: {choice}", [0, 0])
            cell[0], cell[1] = cell[0] + 1, cell[1] + stays
        if stays and "width" in row:
            _count(counts["size"], f"{row['width']} x {row['height']}")
        if stays and "foreground" in row:
            shares[round(row["foreground"] * BINS)] += 1
    sizes = sum(pool.head(shard)["bytes"] for shard in pool.shards)
    found: dict[str, Any] = {"entries": entries, "kept": kept, "refused": entries - kept}
    found |= {"shards": len(pool.shards), "bytes": sizes, "foreground": _quantiles(shares)}
    found["counts"] = {name: dict(counter.most_common()) for name, counter in counts.items() if counter}
    found["cells"] = {name: {"drawn": drawn, "kept": stay} for name, (drawn, stay) in sorted(cells.items())}
    return found


def _count(counter: Counter[str], word: str) -> None:
    counter[word if word in counter or len(counter) < MOST_NAMES else "others"] += 1


def _quantiles(histogram: np.ndarray) -> dict[str, float]:
    """5, 50 and 95 per cent, to 1 / BINS."""
    total = histogram.cumsum()
    if not total[-1]:
        return {}
    return {f"{percent} %": int(np.searchsorted(total, total[-1] * percent / 100)) / BINS for percent in (5, 50, 95)}
