"""What an experiment's finished runs show: per arm, group and metric the mean, and the change to the control."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from loop.experiments.experiment import Experiment, Measured, Pair, Row
from loop.experiments.folder import MEASURED, read


class Summary(NamedTuple):
    rows: list[Row]
    stopped: dict[str, str]
    """ "arm, seed 0" -> why a fit of that run was stopped."""
    sentences: list[str]
    """What the headline metric supports: the experiment's conclusions, then one for each arm and shown group."""


Results = dict[str, dict[int, Measured]]
"""Arm -> seed -> what that run showed."""


def results(experiment: Experiment, folder: Path) -> tuple[Results, dict[str, str]]:
    """Of the runs that are finished and measured, and why fits were stopped."""
    found: Results = {}
    stopped = {}
    known = {**experiment.arms, **read(folder)["arms"]}
    for arm in known:
        for path in sorted((folder / "runs" / arm).glob(f"*/{MEASURED}"), key=lambda path: int(path.parent.name)):
            row, seed = json.loads(path.read_text()), int(path.parent.name)
            found.setdefault(arm, {})[seed] = row["values"]
            if row["stopped"]:
                stopped[f"{arm}, seed {seed}"] = row["stopped"]
    return found, stopped


def summary(experiment: Experiment, folder: Path) -> Summary:
    found, stopped = results(experiment, folder)
    rows = compare(found, experiment.control, experiment.also)
    headline = [row for row in rows if row.metric == experiment.headline and experiment.shown(row.group)]
    lines = [sentence(row, row.against or experiment.control) for row in headline]
    return Summary(rows, stopped, [*experiment.conclude(rows), *(line for line in lines if line)])


def compare(found: Results, control: str, also: Sequence[Pair] = ()) -> list[Row]:
    """Rows sorted by metric, then group, then arm, each in the order in which they came; `also` follow the arms."""
    groups: dict[tuple[str, str], None] = {}
    for measured in (run for runs in found.values() for run in runs.values()):
        for group, pictures in measured.items():
            groups |= dict.fromkeys((metric, group) for scores in pictures.values() for metric in scores)
    metrics = list(dict.fromkeys(metric for metric, _ in groups))
    ordered = sorted(groups, key=lambda key: metrics.index(key[0]))
    pairs = [*(Pair(arm, control) for arm in found), *(pair for pair in also if {*pair} <= found.keys())]
    rows = [_row(found, pair, group, metric) for metric, group in ordered for pair in pairs]
    return [row for row in rows if row is not None]


def _row(found: Results, pair: Pair, group: str, metric: str) -> Row | None:
    import numpy as np  # here, so that the command line starts without it

    from loop.experiments.statistics import detectable, interval, p_value

    arm, control = pair
    arms = [arm] if arm == control or not _having(found, control, group) else [arm, control]
    seeds = sorted(set.intersection(*(set(_having(found, name, group)) for name in arms)))
    if not seeds:
        return None
    measured = [[_values(found[name][seed][group], metric) for seed in seeds] for name in arms]
    ids = sorted(set.intersection(*(set(values) for runs in measured for values in runs)))
    if not ids:
        return None
    errors = [np.array([[values[picture] for picture in ids] for values in runs]) for runs in measured]
    own = errors[0]
    row = Row(arm, group, metric, float(own.mean()), tuple(own.mean(1).tolist()), tuple(seeds), len(ids))
    if len(arms) == 1:
        return row
    change, low, high = interval(own, errors[1])
    reach, p = detectable(own, errors[1]), p_value(own, errors[1])
    return replace(row, change=change, low=low, high=high, detectable=reach, p=p, against=control)


def _having(found: Results, arm: str, group: str) -> list[int]:
    return [seed for seed, measured in found.get(arm, {}).items() if group in measured]


def _values(pictures: dict[str, dict[str, float]], metric: str) -> dict[str, float]:
    return {picture: scores[metric] for picture, scores in pictures.items() if metric in scores}


def sentence(row: Row, control: str) -> str:
    """What the numbers support about this row; empty for the control."""
    if row.change is None or row.low is None or row.high is None:
        return ""
    where = f"{row.group}: {row.metric} of {row.arm}"
    numbers = f"{row.change:+.1%}, interval {row.low:+.1%} to {row.high:+.1%}"
    basis = f"{_many(row.pictures, 'picture')}, {_many(len(row.seeds), 'seed')}"
    if row.high < 0 or row.low > 0:
        return f"{where} is {'lower' if row.high < 0 else 'higher'} than that of {control} ({numbers}; {basis})."
    reach = "" if row.detectable is None else f"; a change of {row.detectable:.0%} would likely have been"
    return f"{where} is not shown to differ from that of {control} ({numbers}; {basis}){reach}."


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
