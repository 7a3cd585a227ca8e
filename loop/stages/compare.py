"""What the loop gains over its control: a paired bootstrap of held-out SAD for each domain, on the same pictures.

Two comparisons. `gain`: the loop's best round so far against the control's best round so far, both chosen by the one
rule of `loop.scores` (the control's rounds count from round 0 on, too): what has been gained by now. `same_round`: this
round's matter, accepted or not, against the control's of this round, after equal steps. A fit that diverged has no
scores and is left out. Out: gain.json. Negative changes are gains of the loop.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loop.config.steps import CompareStep, read
from loop.engine.stage import Context, Metrics
from loop.pools import Row
from loop.scores import SCORES, best_round, deciding, errors
from stylematte.evaluate.statistics import paired_bootstrap
from stylematte.jsonl import read_jsonl

CHANGE = {"against_control": "relative_change", "against_control_low": "low", "against_control_high": "high"}
"""A domain's metrics -> where they stand in an `Interval`."""
Compared = dict[str, dict[str, Any]]
"""Domain -> an `Interval` as plain values: mean_new is the loop's SAD, mean_best the control's."""


def run(ctx: Context) -> Metrics:
    config = read(CompareStep, ctx.config)
    verdict = json.loads((ctx.inputs["verdict"] / "verdict.json").read_text())
    loop, control = _rounds(ctx, "loop"), _rounds(ctx, "control")
    control[0] = loop[0]
    now = max(int(name.rpartition("/")[2]) for name in ctx.inputs if name.startswith("loop/"))
    of_loop, of_control = int(verdict["best_round"]), best_round(control, config.domains)
    gain = _compare(ctx, config, loop[of_loop], control[of_control])
    both_now = now in loop and now in control
    found = {
        "best_round": of_loop,
        "control_round": of_control,
        "gain": gain,
        "same_round": _compare(ctx, config, loop[now], control[now]) if both_now else {},
    }
    (ctx.out / "gain.json").write_text(json.dumps(found, indent=2, sort_keys=True))
    changes = {domain: {name: row[key] for name, key in CHANGE.items()} for domain, row in gain.items()}
    return {"best_round": of_loop, "control_round": of_control, **changes}


def _rounds(ctx: Context, chain: str) -> dict[int, list[Row]]:
    """Round -> held-out scores, of the rounds that have any."""
    found = {
        int(name.rpartition("/")[2]): read_jsonl(folder / SCORES)
        for name, folder in ctx.inputs.items()
        if name.startswith(f"{chain}/")
    }
    return {number: rows for number, rows in found.items() if rows}


def _compare(ctx: Context, config: CompareStep, loop: Sequence[Row], control: Sequence[Row]) -> Compared:
    found = {}
    for domain in config.domains:
        ids = deciding(loop, domain)
        change = paired_bootstrap(
            errors(loop, ids), errors(control, ids), config.resamples, config.confidence, ctx.seed
        )
        found[domain] = asdict(change)
    return found
