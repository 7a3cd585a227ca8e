"""The Lightning loggers of a fit: metrics.jsonl in its scratch folder (always), and a W&B run of its own."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.tracking.curves import METRICS, MetricsFile
from loop.tracking.loop_id import loop_id
from loop.tracking.wandb_run import WandbRun, one_line, stage_run

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from loop.engine.stage import Context

_log = logging.getLogger(__name__)


def stage_logger(ctx: Context) -> list[Logger]:
    """The loggers of the fit that `ctx` describes; its curve grows in scratch.

    ctx.runtime may hold "tracking": {"wandb": …, "project": …}; without it nothing goes to W&B.
    """
    tracking = {"wandb": "disabled", "project": "stylematte", **(ctx.runtime.get("tracking") or {})}
    run_dir = Path(ctx.runtime.get("run_dir", ctx.scratch.parent))
    return fit_loggers(tracking["wandb"], tracking["project"], run_dir, ctx.step_id, ctx.scratch)


def fit_loggers(mode: str, project: str, run_dir: Path, step_id: str, folder: Path) -> list[Logger]:
    """`folder`/metrics.jsonl, and W&B unless `mode` is disabled. Only rank 0 writes.

    step_id: such as "01/portraits/fit_generator". folder: survives a crash (the stage's scratch); copy metrics.jsonl
    to the result at the end.
    """
    loggers = [_lightning_logger(MetricsFile(Path(folder) / METRICS), "jsonl", step_id)]
    if mode != "disabled":
        stage = step_id.rpartition("/")[2]
        axis = "kimg" if stage == "fit_generator" else "trainer/global_step"  # Lightning counts G and D steps
        run = stage_run(mode, loop_id(run_dir), project, run_dir, step_id, stage, axis)
        loggers.append(_lightning_logger(run, "wandb", step_id))
    return loggers


def _lightning_logger(target: MetricsFile | WandbRun, name: str, step_id: str) -> Logger:
    """`target` behind Lightning's Logger interface. Lightning is imported here, when a fit begins."""
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.utilities import rank_zero_only

    class Mirror(Logger):
        @property
        def name(self) -> str:
            return name

        @property
        def version(self) -> str:
            return step_id

        @rank_zero_only
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            _write(target, metrics, 0 if step is None else step)

        @rank_zero_only
        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            if isinstance(target, WandbRun):
                target.config(params)

        @rank_zero_only
        def finalize(self, status: str) -> None:
            if isinstance(target, WandbRun):
                target.finish()

    return Mirror()


def _write(target: MetricsFile | WandbRun, metrics: dict[str, float], step: int) -> None:
    """One row; a full disk is a warning and no end of a fit."""
    if isinstance(target, WandbRun):
        target.log({**metrics, "trainer/global_step": step})
        return
    try:
        target.write(step, metrics)
    except OSError as error:
        _log.warning(f"{target.path} was not written: {one_line(error)}")
