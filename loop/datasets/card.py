"""The card of a data set: README.md with its statistics, and contact sheets of what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loop.datasets.config import DatasetConfig
from stylematte.atomic import replace_file
from stylematte.pools.pool import Pool, Row
from stylematte.pools.statistics import statistics
from stylematte.pools.writer import decoded
from stylematte.sheets import on_checkerboard, thumbnail, write_sheet

ON_A_SHEET, COLUMNS = 48, 8


def write_card(out: Path, config: DatasetConfig, pool: Pool, rows: Sequence[Row]) -> None:
    """rows: the released entries. README.md is written last: a data set with a card is complete."""
    for split in ("train", "val"):
        here = [row for row in rows if row["split"] == split]
        step = max(1, len(here) // ON_A_SHEET)
        shown = here[::step][:ON_A_SHEET]
        pictures = [thumbnail(on_checkerboard(decoded(pool.pictures(row), row["key"]))) for row in shown]
        write_sheet(out / "sheets" / f"{split}.png", pictures, COLUMNS)
    replace_file(out / "README.md", card(config, statistics(pool), rows))


def card(config: DatasetConfig, counted: dict[str, Any], rows: Sequence[Row]) -> str:
    """Markdown: what it is, how many, under which licence, what was refused, and each cell's acceptance."""
    splits = Counter(row["split"] for row in rows)
    licences = Counter(row.get("licence") or "unknown" for row in rows)
    models = Counter(row.get("model") or "unknown" for row in rows)
    shares = sorted(row["foreground"] for row in rows)
    mended = Counter(name for row in rows for name in row.get("mended", ()))
    sizes = Counter(f"{row['width']} x {row['height']}" for row in rows)
    lines = [
        f"# {config.name}",
        "",
        f"{len(rows)} pairs of foreground and alpha ({config.subject}): {splits['train']} train, {splits['val']} val.",
        "",
        "| | |",
        "|---|---|",
        f"| generator | {config.source.generator} |",
        f"| model | {_listed(models)} |",
        f"| licence | {_listed(licences)} |",
        f"| candidates | {counted['entries']}, of which {counted['refused']} were refused |",
        f"| near-duplicates and surplus | {counted['kept'] - len(rows)} left out |",
        f"| sizes | {_listed(sizes)} |",
        f"| foreground of the frame | median {shares[len(shares) // 2]:.2f}, {shares[0]:.2f} to {shares[-1]:.2f} |",
        f"| mended at ingest | {_listed(mended) or 'nothing'} |",
        f"| refined | {'yes' if config.refine else 'no'} |",
        "",
        "Colour is straight (not premultiplied) sRGB; alpha is linear coverage. `manifest.csv` has a row for each",
        "pair, `pool/` every candidate, the refused ones with their reasons (`stylematte pool stats`).",
        "",
        "![train](sheets/train.png)",
    ]
    if splits["val"]:
        lines += ["", "![val](sheets/val.png)"]
    reasons = counted["counts"].get("rule", {})
    if reasons:
        lines += ["", "## Refused", "", "| by | candidates |", "|---|---|"]
        lines += [f"| {rule} | {count} |" for rule, count in reasons.items()]
    if counted["cells"]:
        lines += [
            "",
            "## Acceptance by cell of the prompts",
            "",
            "| cell | drawn | kept | share |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {cell['drawn']} | {cell['kept']} | {cell['kept'] / cell['drawn']:.0%} |"
            for name, cell in counted["cells"].items()
        ]
    return "\n".join(lines) + "\n"


def _listed(counts: Counter[str], most: int = 5) -> str:
    named = [f"{name} ({count})" if len(counts) > 1 else name for name, count in counts.most_common(most)]
    return ", ".join(named) + (", ..." if len(counts) > most else "")
