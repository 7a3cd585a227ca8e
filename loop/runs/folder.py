"""Finding things in a run folder: its configuration, the accepted matter and its round, the newest run."""

from __future__ import annotations

import json
from pathlib import Path

from stylematte.errors import DataError
from stylematte.rounds import files_of_rounds, is_run

__all__ = ["accepted_round", "check_run", "is_run", "newest_run"]


def check_run(folder: Path) -> None:
    """Raises DataError unless `folder` is a run."""
    if not is_run(folder):
        raise DataError(f"{folder}: not a run folder (no config.yaml and rounds/ in it)")


def accepted_round(run: Path) -> int:
    """The round whose matter is accepted. Raises DataError before round 0 is over."""
    found = files_of_rounds(run, "accept/verdict.json")
    if not found:
        raise DataError(f"{run}: no accepted matter; expected a run folder after round 0")
    return int(json.loads(found[-1].read_text())["accepted_round"])


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run folder below `parent` that has an accepted matter and was worked on last."""
    runs = {file.parents[3] for file in parent.glob("*/rounds/[0-9][0-9]/accept/verdict.json")}
    if not runs:
        raise DataError(f"no run with an accepted matter below {parent}/: name one, or do `stylematte run` first")
    return max(runs, key=lambda run: (run / "manifest.json").stat().st_mtime if (run / "manifest.json").exists() else 0)
