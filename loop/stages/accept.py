"""The gate of a round: the new matter is accepted or refused by held-out errors, with intervals and a reason.

The candidate is compared, picture by picture, with the best matter so far and with round 0's (so that small losses
cannot add up). Refused, the previously accepted matter goes on.
Out: matter.safetensors + matter.json + per_picture.jsonl (of the matter that goes on), verdict.json, and
best_per_picture.jsonl: for each domain the scores of the accepted matter that was best there. The next round is
compared with those, so that a gain cannot be given back in steps that are each within the margin.
verdict.json also names the best round so far (`loop.scores`): its matter, never worse than round 0's on the held-out
pictures, is the one that leaves the run, whatever the loop goes on with.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.config.steps import AcceptStep, read
from loop.engine.stage import Context, Metrics
from loop.pools import Row, write_index
from loop.scores import SCORES, deciding, errors, overall, relative_sad
from stylematte.evaluate.statistics import Interval, decide, paired_bootstrap
from stylematte.jsonl import read_jsonl

BEST = "best_per_picture.jsonl"


class NoMatter(ValueError):
    """Round 0 diverged: there is nothing to fall back to."""


def run(ctx: Context) -> Metrics:
    scores, candidate = read_jsonl(ctx.inputs["scores"] / SCORES), ctx.inputs["candidate"]
    stopped = candidate / "stopped.json"
    if "best" not in ctx.inputs:
        if stopped.is_file():
            reason = json.loads(stopped.read_text())["reason"]
            raise NoMatter(f"round 0 has no matter: {reason}; lower matter.first.lr or the weight of that loss")
        verdict = {"accepted": True, "reason": "round 0: nothing to compare with", "accepted_round": 0, "intervals": {}}
        _carry_on(ctx, candidate, ctx.inputs["scores"], verdict | {"best_round": 0, "best_relative_SAD": 1.0})
        return {"accepted": True, "accepted_round": 0, "best_round": 0}
    best, first = ctx.inputs["best"], read_jsonl(ctx.inputs["first"] / SCORES)
    previous = json.loads((best / "verdict.json").read_text())
    accepted_round = previous["accepted_round"]
    if stopped.is_file():
        reason = f"the fit stopped: {json.loads(stopped.read_text())['reason']}"
        verdict = {"accepted": False, "reason": reason, "accepted_round": accepted_round, "intervals": {}}
    else:
        verdict = _compare(ctx, scores, read_jsonl(best / BEST), first, accepted_round)
    verdict |= _best_round(ctx, scores, first, previous, bool(verdict["accepted"]))
    source = candidate if verdict["accepted"] else best
    _carry_on(ctx, source, ctx.inputs["scores"] if verdict["accepted"] else best, verdict)
    return {name: verdict[name] for name in ("accepted", "accepted_round", "best_round", "reason")}


def _compare(ctx: Context, scores: list[Row], best: list[Row], first: list[Row], accepted_round: int) -> dict[str, Any]:
    config = read(AcceptStep, ctx.config)
    intervals: dict[str, dict[str, Interval]] = {"vs_best": {}, "vs_first": {}}
    for domain in config.domains:
        ids = deciding(scores, domain)
        for name, other in (("vs_best", best), ("vs_first", first)):
            intervals[name][domain] = paired_bootstrap(
                errors(scores, ids), errors(other, ids), config.rules.resamples, config.rules.confidence, ctx.seed
            )
    # As long as round 0's matter is the best, once is enough.
    vs_first = intervals["vs_first"] if accepted_round else None
    verdict = decide(intervals["vs_best"], vs_first, config.rules.margin, config.rules.must_improve)
    return {
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "accepted_round": config.round if verdict.accepted else accepted_round,
        "pictures": {domain: _kinds(scores, domain) for domain in config.domains},
        "intervals": {
            domain: {name: asdict(intervals[name][domain]) for name in intervals} for domain in config.domains
        },
    }


def _best_round(
    ctx: Context, scores: list[Row], first: list[Row], previous: dict[str, Any], accepted: bool
) -> dict[str, Any]:
    """The previous verdict's best round, or this one if it is accepted and better by the rule of `loop.scores`."""
    config = read(AcceptStep, ctx.config)
    relative = overall(relative_sad(scores, first, config.domains)) if accepted else math.inf
    if relative < previous["best_relative_SAD"]:
        return {"best_round": config.round, "best_relative_SAD": relative}
    return {name: previous[name] for name in ("best_round", "best_relative_SAD")}


def _kinds(scores: list[Row], domain: str) -> dict[str, int]:
    """How many pictures of each kind decide about this domain."""
    ids = deciding(scores, domain)
    return dict(Counter(row["kind"] for row in scores if row["id"] in ids))


def _best(previous: list[Row], accepted: list[Row]) -> list[Row]:
    """For each domain the rows with the lower mean SAD; of two equals the previous ones."""
    best = []
    for domain in dict.fromkeys(row["domain"] for row in accepted):
        sides = [[row for row in rows if row["domain"] == domain] for rows in (previous, accepted)]
        best += min((side for side in sides if side), key=lambda side: sum(row["SAD"] for row in side))
    return best


def _carry_on(ctx: Context, matter: Path, scores: Path, verdict: dict[str, Any]) -> None:
    for file in (matter / "matter.safetensors", matter / "matter.json", scores / SCORES):
        shutil.copyfile(file, ctx.out / file.name)
    previous = read_jsonl(ctx.inputs["best"] / BEST) if "best" in ctx.inputs else []
    write_index(ctx.out, _best(previous, read_jsonl(ctx.out / SCORES)), BEST)
    (ctx.out / "verdict.json").write_text(json.dumps(verdict, indent=2, sort_keys=True))
