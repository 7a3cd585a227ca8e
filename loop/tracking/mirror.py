"""`python -m loop.tracking.mirror`: writes one finished round, given as JSON on stdin, to Weights & Biases.

W&B gets one run per stage, in one group, and one controller run with x-axis `round`. A fit fills its run while it
works (`loop.tracking.fit_loggers`); the other stages' runs are written here when their round ends. A process of its
own, so that it may be slow or hang without holding up the loop.
"""

from __future__ import annotations

import sys
from pathlib import Path

from loop.tracking.entries import RoundEntry, StageEntry
from loop.tracking.loop_id import loop_id
from loop.tracking.wandb_run import WandbRun, stage_run


def mirror_round(entry: RoundEntry) -> bool:
    """One point on every curve of the controller run, then one run for each stage. False when W&B failed."""
    name = loop_id(Path(entry.run_dir))
    run = WandbRun(
        entry.mode,
        "round",
        id=name,
        name=Path(entry.run_dir).resolve().name,
        group=name,
        job_type="loop",
        project=entry.project,
        config=entry.config,
        dir=entry.run_dir,
    )
    point = {"round": entry.round, **entry.metrics, "accepted": int(entry.accepted), "verdict": entry.reason}
    run.log(point | {label: run.image(Path(path)) for label, path in entry.images.items()}, step=entry.round)
    run.finish()
    return not run.broken and all([_mirror_stage(entry, name, stage) for stage in entry.stages])


def _mirror_stage(entry: RoundEntry, group: str, stage: StageEntry) -> bool:
    run = stage_run(
        entry.mode, group, entry.project, Path(entry.run_dir), stage.id, stage.stage, "round", config=stage.config
    )
    images = {name: run.image(Path(path)) for name, path in stage.images.items()}
    run.log({"round": entry.round, **stage.metrics, **images})
    run.finish()
    return not run.broken


if __name__ == "__main__":
    sys.exit(0 if mirror_round(RoundEntry.from_json(sys.stdin.read())) else 1)
