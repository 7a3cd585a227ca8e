"""Figures per picture, worst first, with their mean and its bootstrap interval; as a dict, a table or CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stylematte.atomic import replace_file

Rows = dict[str, dict[str, float]]
WORST = 8
FEW = 10
"""Fewer pictures are too few to resample: Student's t takes the bootstrap's place."""


def worst_first(rows: Mapping[str, Mapping[str, float]], by: str = "SAD") -> Rows:
    return {name: dict(row) for name, row in sorted(rows.items(), key=lambda item: (-item[1][by], item[0]))}


@dataclass(frozen=True)
class Scores:
    """What was measured. mean, interval (95 %; None for one picture) and the values of `pictures` are by figure."""

    n: int
    mean: dict[str, float]
    interval: dict[str, tuple[float, float] | None]
    worst: list[str]
    """The names of the worst eight."""
    pictures: Rows
    """Name -> figures, worst first."""

    @classmethod
    def of(cls, rows: Mapping[str, Mapping[str, float]]) -> Scores:
        """rows: at least one picture's figures, SAD among them."""
        pictures = worst_first(rows)
        figures = list(next(iter(pictures.values())))
        columns = {figure: [row[figure] for row in pictures.values()] for figure in figures}
        return cls(
            n=len(pictures),
            mean={figure: sum(values) / len(values) for figure, values in columns.items()},
            interval={figure: mean_interval(values) for figure, values in columns.items()},
            worst=list(pictures)[:WORST],
            pictures=pictures,
        )

    def write_csv(self, path: Path) -> None:
        """picture, figures ...; worst first, full precision, the whole file or none of it."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["picture", *self.mean])
        writer.writerows([name, *(repr(float(v)) for v in row.values())] for name, row in self.pictures.items())
        replace_file(path, text.getvalue())


def mean_interval(
    values: Sequence[float], resamples: int = 10000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Two-sided percentile bootstrap interval of the mean (Efron and Tibshirani 1993, ch. 13); None for one picture.

    Pictures are resampled with replacement: the interval says how much the choice of pictures moves the mean. Below
    10 pictures it is Student's t. A pure function: equal values give equal intervals.
    """
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
