"""Figures per picture as `score` and `evaluate` tell them: worst first, the mean with its interval, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, float]]
FEW = 10
"""Fewer pictures are too few to resample: Student's t takes the bootstrap's place."""


def worst_first(rows: Mapping[str, Mapping[str, float]], by: str = "SAD") -> Rows:
    return {name: dict(row) for name, row in sorted(rows.items(), key=lambda item: (-item[1][by], item[0]))}


def told(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What --json prints: n, mean, interval (95 %, None for one picture) and the pictures, worst first."""
    pictures = worst_first(rows)
    figures = list(next(iter(pictures.values())))
    columns = {figure: [row[figure] for row in pictures.values()] for figure in figures}
    return {
        "n": len(pictures),
        "mean": {figure: sum(values) / len(values) for figure, values in columns.items()},
        "interval": {figure: mean_interval(values) for figure, values in columns.items()},
        "worst": list(pictures)[:8],
        "pictures": pictures,
    }


def mean_interval(
    values: Sequence[float], resamples: int = 10000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Two-sided percentile bootstrap interval of the mean (Efron and Tibshirani 1993, ch. 13); None for one picture.

    Pictures are resampled with replacement: the interval says how much the choice of pictures moves the mean. Below
    10 pictures it is Student's t. A pure function: equal values give equal intervals.
    """
    import numpy as np

    sample = np.sort(np.asarray(values, dtype=np.float64))
    n = len(sample)
    if n < 2:
        return None
    if n < FEW:
        from scipy.stats import t

        reach = float(t.ppf((1 + confidence) / 2, n - 1) * sample.std(ddof=1) / math.sqrt(n))
        return max(0.0, float(sample.mean()) - reach), float(sample.mean()) + reach
    generator = np.random.default_rng(seed)
    rows = max(1, 2_000_000 // n)
    blocks = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    means = np.concatenate([sample[generator.integers(0, n, size=(block, n))].mean(axis=1) for block in blocks])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def print_table(result: Mapping[str, Any], title: str = "", most: int = 0) -> None:
    """The table on stdout: the mean and its interval last; `most` pictures (0: all) above them."""
    from rich.table import Table

    from loop.cli.console import wide_console

    figures = list(result["mean"])
    table = Table(title=title or None)
    table.add_column("picture, worst first", overflow="fold")
    for figure in figures:
        table.add_column(figure, justify="right", no_wrap=True)
    pictures = list(result["pictures"].items())
    for name, row in pictures[: most or None]:
        table.add_row(name, *(_number(row[figure]) for figure in figures))
    if most and len(pictures) > most:
        table.add_row(f"… {len(pictures) - most} more", *("" for _ in figures))
    table.add_section()
    table.add_row(f"mean of {result['n']}", *(_number(result["mean"][figure]) for figure in figures))
    if result["n"] > 1:
        for end, name in enumerate(("95 % from", "95 % to")):
            table.add_row(name, *(_number(result["interval"][figure][end]) for figure in figures))
    wide_console().print(table)


def write_csv(path: Path, rows: Mapping[str, Mapping[str, float]]) -> None:
    """picture, figures …; worst first, full precision, the whole file or none of it."""
    pictures = worst_first(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", *next(iter(pictures.values()))])
    writer.writerows([name, *(repr(float(value)) for value in row.values())] for name, row in pictures.items())
    write_whole(path, text.getvalue())


def write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _number(value: float) -> str:
    return f"{value:.5g}"
