"""Takes a run back to the end of a round: what came after it is kept aside, and drawn anew when the run goes on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.config.rollbacks import write_rollback
from loop.engine import audit, live
from loop.engine.commit import StepFolders
from loop.engine.lock import one_writer
from loop.engine.manifest import write_manifest
from loop.plan import plan
from loop.report.build import build_report
from loop.runs.folder import check_run
from stylematte.errors import DataError


def roll_back(run_dir: Path, round_: int) -> list[str]:
    """Keep the results of all rounds after `round_` aside, as `stylematte gc` lists them; the steps that had one.

    The accepted matter is again that of `round_`. Raises DataError where that round is not over, RunLocked while a loop
    writes there.
    """
    check_run(run_dir)
    with one_writer(run_dir):
        config = load_config(run_dir / "config.yaml", check=False)
        if not (run_dir / "rounds" / f"{round_:02d}" / "accept" / "verdict.json").is_file():
            raise DataError(f"{run_dir.name}: round {round_} has no verdict; expected a round that is over")
        later = sorted(_results_after(run_dir, round_))
        if not later:
            raise DataError(f"{run_dir.name}: nothing was made after round {round_}, so there is nothing to roll back")
        write_rollback(run_dir, round_)  # first: a kill amid the moves leaves results that no seed asks for any more
        for step_id in later:
            StepFolders(run_dir, step_id).put_aside()
        _remove_empty_folders(run_dir / "rounds")
        (run_dir / live.FILE).unlink(missing_ok=True)  # it tells of rounds that are no more
        write_manifest(run_dir, plan(config, fingerprints(config, run_dir)))
        audit.record(run_dir, audit.LOOP, "rollback", round=round_, steps=len(later))
        with contextlib.suppress(Exception):  # the page is a view; the run is what counts
            build_report(run_dir)
    return later


def _results_after(run_dir: Path, round_: int) -> Iterator[str]:
    for folder in (run_dir / "rounds").glob("[0-9][0-9]"):
        for record in [*folder.glob("*/stage.json"), *folder.glob("*/*/stage.json")]:
            step = record.parent.relative_to(run_dir / "rounds")
            hidden = any(part.startswith(".") for part in step.parts)
            if int(folder.name) > round_ and not hidden:
                yield step.as_posix()


def _remove_empty_folders(root: Path) -> None:
    for parent, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(parent)
