"""What the pages and the JSON show of a run: what it does now, its rounds, its steps, what asks for a decision."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.engine import audit, manifest, requests
from loop.engine.live import Live, read_live
from loop.report.data import Round, Run
from loop.report.gain import gain_sentences
from loop.report.needs import needs
from loop.report.read import read_run
from loop.serve.folders import stamp

Json = dict[str, Any]
VIEWS = ("manifest.json", "report.html", audit.FILE, "reviews.jsonl", "rollbacks.json")
"""Files of which a page is made anew when they change."""


def live_state(name: str, run: Path) -> Json:
    """What a page polls: the loop's own record, what was asked of it, and `version`, which changes with the rest."""
    live = read_live(run)
    return {
        "run": name,
        "state": state_of(live),
        "live": None if live is None else asdict(live),
        "pending": requests.pending(run) if live is not None and live.state in ("running", "stopping") else None,
        "version": version(run),
    }


def state_of(live: Live | None) -> str:
    return "idle" if live is None else live.state


def version(run: Path) -> str:
    """Of what of a run is shown apart from its live record."""
    return "-".join(f"{stamp(run / name):x}" for name in VIEWS)


def summary(name: str, run: Path) -> Json:
    """A run in the list of runs."""
    live = read_live(run)
    verdict = live.verdicts[-1] if live is not None and live.verdicts else None
    return {
        "run": name,
        "state": state_of(live),
        "finished": live.finished if live is not None else None,
        "total": live.total if live is not None else None,
        "left": live.left if live is not None and live.state == "running" else None,
        "steps": [step.step for step in live.steps] if live is not None else [],
        "verdict": verdict,
        "updated": live.updated if live is not None else None,
    }


def overview(name: str, run: Path) -> Json:
    """All of a run but its pictures. Raises ValueError where it holds nothing yet."""
    read = read_run(run)
    return {
        "run": name,
        "domains": read.domains,
        "planned": read.planned,
        "best_round": read.best.number if read.best else None,
        "accepted_round": read.accepted.number if read.accepted else None,
        "gain": gain_sentences(read),
        "needs": [need._asdict() for need in needs(read)],
        "rounds": [_round(read, each) for each in read.rounds],
        "steps": steps(run),
        "audit": audit.read_audit(run)[::-1],
        "version": version(run),
    }


def _round(run: Run, round_: Round) -> Json:
    verdict = round_.verdict
    pairs = {domain: {"kept": found.kept, "total": found.total} for domain, found in round_.pairs.items()}
    return {
        "round": round_.number,
        "accepted": None if verdict is None else verdict.accepted,
        "reason": "" if verdict is None else verdict.reason,
        "scores": {domain: score.figures for domain, score in round_.scores.items()},
        "pairs": pairs,
        "seconds": round(sum(round_.seconds.values()), 1),
    }


def steps(run: Path) -> list[Json]:
    """The plan as manifest.json has it: id, state, seconds, and what was measured."""
    try:
        listed = json.loads((run / manifest.FILE).read_text(encoding="utf-8"))["steps"]
        return [_step(step) for step in listed]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _step(step: Json) -> Json:
    made = step.get("record") or {}
    names = ("state", "reason", "round", "domain")
    return {"step": step["id"], **{name: step.get(name) for name in names}, "seconds": made.get("seconds")}
