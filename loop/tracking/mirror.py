"""`python -m loop.tracking.mirror RUN SECONDS`: brings the loop's W&B run up to date with RUN/tracking/rounds.jsonl.

The *loop* run has the rounds as its axis and every stage's numbers in the row of its round; only fits have W&B runs of
their own (`loop.tracking.fit_loggers`). A process of its own, so that it may be slow or hang without holding up the
loop; it ends itself after SECONDS.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from loop.engine.lock import FileLock
from loop.tracking.artifacts import log_round
from loop.tracking.entries import FOLDER, RoundEntry, Table, read_alerts, read_entries, read_settings
from loop.tracking.loop_id import loop_id
from loop.tracking.pictures import of_cell
from loop.tracking.tensorboard_run import TensorboardRun
from loop.tracking.wandb_run import WandbRun

SENT = "alerts.sent"


def mirror_rounds(run_dir: Path) -> bool:
    """A row for each round: online the missing ones, offline all of them in a new folder. False when W&B failed."""
    settings, entries, name = read_settings(run_dir), read_entries(run_dir), loop_id(run_dir)
    tracking = settings["tracking"]
    if tracking["tensorboard"]:
        _events(run_dir, entries)
    run = WandbRun(
        tracking["wandb"],
        "round",
        code=tracking["code"],
        id=name,
        name=run_dir.resolve().name,
        group=name,
        job_type="loop",
        project=tracking["project"],
        config=settings["config"],
        dir=str(run_dir),
    )
    for entry in entries:
        if run.has(entry.round):
            continue
        pictures = {label: run.image(path) for label, path in entry.pictures().items()}
        tables = {label: _table(run, table) for label, table in entry.tables.items()}
        run.log(entry.row() | pictures | tables, step=entry.round)
        stages = [{"id": stage.id, "key": stage.key} for stage in entry.stages]
        log_round(run, run_dir, stages, entry.accepted, tracking["upload"])
    _alerts(run, run_dir)
    run.finish()
    return not run.broken or tracking["wandb"] == "disabled"


def _table(run: WandbRun, table: Table) -> Any:
    cells = [[of_cell(cell) if isinstance(cell, dict) else cell for cell in row] for row in table.rows]
    return run.table(table.columns, cells)


def _alerts(run: WandbRun, run_dir: Path) -> None:
    """Those that were not sent: online a run has them once, offline each new folder has all."""
    path, alerts = run_dir / FOLDER / SENT, read_alerts(run_dir)
    sent = int(path.read_text()) if run.mode == "online" and path.is_file() else 0
    for alert in alerts[sent:]:
        run.alert(alert.title, alert.text, alert.level)
    if run.mode == "online" and not run.broken:
        path.write_text(str(len(alerts)))


def _events(run_dir: Path, entries: list[RoundEntry]) -> None:
    events = TensorboardRun(run_dir, "loop")
    for entry in entries:
        events.log(entry.round, entry.row(), entry.pictures())
    events.close()


def main(run_dir: Path, seconds: int) -> int:
    signal.alarm(seconds)  # the kernel ends us then, whatever hangs; W&B's own process goes with its parent
    lock = FileLock(run_dir / FOLDER / "lock")
    if not lock.acquire(seconds):  # one that an ended loop left behind is at it
        return 1
    return 0 if mirror_rounds(run_dir) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
