"""A tiny run with what none shows: a refused round, a diverged generator, picture refusals, a photo left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

DOMAINS = ("portraits", "animals")
REASONS = {
    1: "Accepted: animals is not worse, SAD 0.3 to 0.26 (-13.0%, interval -24.0% to +2.0%, n=12).",
    2: "Refused: portraits may be worse than the best so far: SAD 0.26 to 0.27 "
    "(+4.0%, interval -6.0% to +15.0%, n=12), limit +5.0%.",
}
CHANGES = {1: (-0.13, -0.24, 0.02), 2: (0.04, -0.06, 0.15)}
RULES = ("disagreement", "body", "duplicate")


def make_run(tiny: Path, folder: Path) -> Path:
    """The finished run `tiny` with its round 1 accepted and once more as round 2, which is refused."""
    shutil.copytree(tiny, folder)
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("rounds: 1\n", "rounds: 2\n"))
    rounds = folder / "rounds"
    rows(rounds / "00/prepare/left_out.jsonl", [{"file": "torn.jpg", "reason": "torn.jpg: truncated <file>"}])
    for domain in DOMAINS:
        _refuse_some(rounds / "01" / domain)
    shutil.copytree(rounds / "01", rounds / "02")
    (rounds / "02/animals/fit_generator/stopped.json").write_text('{"reason": "loss/D is NaN at step 120"}')
    for number in (1, 2):
        _judge(rounds / f"{number:02d}" / "accept", number)
    return folder


def finish(folder: Path, metrics: dict[str, Any], seconds: float) -> None:
    """A stage's record, as far as the report reads it."""
    (folder / "stage.json").write_text(json.dumps({"key": "0" * 16, "metrics": metrics, "seconds": seconds}))


def rows(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _refuse_some(folder: Path) -> None:
    """30 of 40 labels kept, 10 refused by confidence; 26 of 40 pairs kept, the others refused by three rules."""
    reasons = [None if k % 4 else f"confidence {0.8 + k / 400:.3f} below 0.9" for k in range(40)]
    rows(folder / "label/index.jsonl", [{"id": f"l{k}", "kept": not r, "reason": r} for k, r in enumerate(reasons)])
    rules = [None if k % 3 else RULES[k % 9 // 3] for k in range(40)]
    rows(folder / "select/index.jsonl", [{"id": f"s{k}", "kept": not r, "rule": r} for k, r in enumerate(rules)])


def _judge(folder: Path, number: int) -> None:
    change = dict(zip(("relative_change", "low", "high"), CHANGES[number], strict=True)) | {"n": 12}
    interval = {"vs_best": change, "vs_first": change | {"low": change["low"] - 0.05}}
    verdict = {"accepted": number == 1, "reason": REASONS[number], "accepted_round": 1}
    intervals = dict.fromkeys(DOMAINS, interval)
    (folder / "verdict.json").write_text(json.dumps(verdict | {"intervals": intervals}))
