"""`python -m loop.tracking.mirror RUN SECONDS`: brings the loop's W&B run up to date with RUN/tracking/rounds.jsonl.

The *loop* run has the rounds as its axis and every stage's numbers in the row of its round; only fits have W&B runs of
their own (`loop.tracking.fit_loggers`). A process of its own, so that it may be slow or hang without holding up the
loop; it ends itself after SECONDS.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from loop.engine.lock import FileLock
from loop.tracking.entries import FOLDER, read_entries
from loop.tracking.loop_id import loop_id
from loop.tracking.wandb_run import WandbRun


def mirror_rounds(run_dir: Path) -> bool:
    """A row for each round: online the missing ones, offline all of them in a new folder. False when W&B failed."""
    entries = read_entries(run_dir)
    last, name = entries[-1], loop_id(run_dir)
    run = WandbRun(
        last.mode,
        "round",
        code=last.code,
        id=name,
        name=run_dir.resolve().name,
        group=name,
        job_type="loop",
        project=last.project,
        config=last.config,
        dir=str(run_dir),
    )
    for entry in entries:
        pictures = {label: run.image(path) for label, path in entry.pictures().items()}
        run.log(entry.row() | pictures, step=entry.round)
    run.finish()
    return not run.broken


def main(run_dir: Path, seconds: int) -> int:
    signal.alarm(seconds)  # the kernel ends us then, whatever hangs; W&B's own process goes with its parent
    lock = FileLock(run_dir / FOLDER / "lock")
    if not lock.acquire(seconds):  # one that an ended loop left behind is at it
        return 1
    return 0 if mirror_rounds(run_dir) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
