"""Finding things in a run folder: its configuration, the round of its best matter, the newest run."""

from __future__ import annotations

from pathlib import Path

from stylematte.errors import DataError
from stylematte.rounds import best_matter, is_run

__all__ = ["best_round", "check_run", "is_run", "newest_run"]


def check_run(folder: Path) -> None:
    """Raises DataError unless `folder` is a run."""
    if not is_run(folder):
        raise DataError(f"{folder}: not a run folder (no config.yaml and rounds/ in it)")


def best_round(run: Path) -> int:
    """The round whose matter leaves the run (`loop.scores`). Raises DataError before round 0 is over."""
    found = best_matter(run)
    if found is None:
        raise DataError(f"{run}: no accepted matter; expected a run folder after round 0")
    return int(found.parent.name)


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run folder below `parent` that has an accepted matter and was worked on last."""
    runs = {file.parents[3] for file in parent.glob("*/rounds/[0-9][0-9]/accept/verdict.json")}
    if not runs:
        raise DataError(f"no run with an accepted matter below {parent}/: name one, or do `stylematte run` first")
    return max(runs, key=lambda run: (run / "manifest.json").stat().st_mtime if (run / "manifest.json").exists() else 0)
