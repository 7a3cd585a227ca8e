"""What more pairs are worth at an equal budget: the ablation of arXiv 2501.16147 on the size of a data set.

    stylematte experiment capacity [CONFIG] [--sizes 25,100,400] [--seeds 3]

Round 1 learns from real pictures and from so many flawless drawn cut-outs, in as many steps and from the same weights,
whatever their number. No rule of `select` takes any away. It needs drawn pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from loop.experiments.experiment import Experiment, Row
from loop.experiments.measures import heldout
from loop.experiments.questions.loop_vs_real import KEEP_ALL, roads

SIZES = (25, 100, 400)


def arms(sizes: Sequence[int]) -> Mapping[str, Sequence[str]]:
    """Name -> words, the smallest first."""
    return {f"{size}-pairs": (f"synthesize.count={size}",) for size in sizes}


def after_round_1(group: str) -> bool:
    return group.endswith(", round 1")


def conclude(rows: Sequence[Row]) -> list[str]:
    """The slope of SAD over the logarithm of the size, by least squares over the arms, for each domain."""
    found = []
    for group in dict.fromkeys(row.group for row in rows if after_round_1(row.group)):
        here = [row for row in rows if row.group == group and row.metric == "SAD"]
        points = {int(row.arm.partition("-")[0]): row.mean for row in here if row.arm.endswith("-pairs")}
        if len(points) > 1:
            found.append(f"Each doubling of the pairs changes SAD by {slope(points):+.4f} in {group}.")
    return found


def slope(points: Mapping[int, float]) -> float:
    """Of value over log2(size)."""
    x = [math.log2(size) for size in points]
    y = list(points.values())
    middle, mean = sum(x) / len(x), sum(y) / len(y)
    return sum((a - middle) * (b - mean) for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


EXPERIMENT = Experiment(
    name="capacity",
    question="What are more pairs worth in as many steps?",
    settings=("run.rounds=1", "accept.margin=1000", "synthesize.source=drawn", *roads(pairs=1), *KEEP_ALL),
    arms=arms(SIZES),
    control=f"{SIZES[0]}-pairs",
    measure=heldout,
    until="evaluate",
    shown=after_round_1,
    sized=arms,
    conclude=conclude,
)
