"""The Lightning loggers of a fit: metrics.jsonl in its scratch folder (always), and a W&B run of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.tracking.curves import METRICS, MetricsFile
from loop.tracking.entries import FOLDER
from loop.tracking.loop_id import loop_id
from loop.tracking.wandb_run import WandbRun, one_line
from stylematte.jsonl import read_jsonl

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from loop.engine.stage import Context

_log = logging.getLogger(__name__)

WANDB = "wandb"
"""The name of the W&B logger."""


def stage_logger(ctx: Context) -> list[Logger]:
    """The loggers of the fit that `ctx` describes; its curve grows in scratch.

    ctx.runtime may hold "tracking": {"wandb": …, "project": …, "code": …}; without it nothing goes to W&B.
    """
    tracking = {"wandb": "disabled", "project": "stylematte", "code": True, **(ctx.runtime.get("tracking") or {})}
    run_dir = Path(ctx.runtime.get("run_dir", ctx.scratch.parent))
    loggers = [_lightning_logger(MetricsFile(Path(ctx.scratch) / METRICS), "jsonl", ctx.step_id)]
    if tracking["wandb"] != "disabled":
        config = {"step": ctx.config, "seed": ctx.seed, "run": _resolved(run_dir)}
        loggers.append(_lightning_logger(FitMirror(tracking, run_dir, ctx.step_id, config), WANDB, ctx.step_id))
    return loggers


class FitMirror:
    """The W&B run of a fit, and RUN/tracking/STEP.jsonl with every row that it got.

    A resumed fit goes on in that file as in metrics.jsonl, and its W&B run is written from the file's beginning: what
    W&B's own process had not written yet when the fit was killed is not lost, and no step is there twice.
    """

    def __init__(self, tracking: Mapping[str, Any], run_dir: Path, step_id: str, config: Mapping[str, Any]) -> None:
        stage, group = step_id.rpartition("/")[2], loop_id(run_dir)
        self.path = run_dir / FOLDER / f"{step_id}.jsonl"
        self._rows, self._begun, self._last = MetricsFile(self.path), False, 0
        self._run = WandbRun(
            tracking["wandb"],
            "kimg" if stage == "fit_generator" else "trainer/global_step",  # Lightning counts G and D steps
            code=tracking["code"],
            id=f"{group}-{step_id.replace('/', '-')}",
            name=step_id,
            group=group,
            job_type=stage,
            project=tracking["project"],
            tags=[f"round:{step_id.split('/')[0]}"],
            config=dict(config),
            dir=str(run_dir),
        )

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._rows.write(step, metrics)
        rows = [{"step": step, **metrics}] if self._begun else read_jsonl(self.path)
        self._begun = True
        for row in rows:
            self._last = max(self._last, row["step"])  # W&B leaves out a row whose step is below the last one's
            self._run.log({**row, "trainer/global_step": row["step"]}, step=self._last)

    def config(self, values: Any) -> None:
        self._run.config(values)

    def finish(self) -> None:
        self._run.finish()


def _resolved(run_dir: Path) -> Any:
    """The configuration of the whole run; none where a fit is no part of one."""
    path = run_dir / "config.yaml"
    if not path.is_file():
        return None
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(path))


def _lightning_logger(target: MetricsFile | FitMirror, name: str, step_id: str) -> Logger:
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
            if isinstance(target, FitMirror):
                target.config(params)

        @rank_zero_only
        def finalize(self, status: str) -> None:
            if isinstance(target, FitMirror):
                target.finish()

    return Mirror()


def _write(target: MetricsFile | FitMirror, metrics: dict[str, float], step: int) -> None:
    """One row; a full disk is a warning and no end of a fit."""
    try:
        target.write(step, metrics)
    except (OSError, ValueError) as error:
        _log.warning(f"{target.path} was not written: {one_line(error)}")
