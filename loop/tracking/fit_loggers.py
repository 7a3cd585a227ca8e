"""The Lightning loggers of a fit: metrics.jsonl in its scratch folder (always), and one for W&B and TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.tracking.artifacts import log_made, use_read
from loop.tracking.curves import METRICS, MetricsFile
from loop.tracking.entries import FOLDER
from loop.tracking.loop_id import loop_id
from loop.tracking.tensorboard_run import TensorboardRun
from loop.tracking.wandb_run import WandbRun, one_line
from stylematte.jsonl import read_jsonl

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from loop.engine.stage import Context

_log = logging.getLogger(__name__)

MIRROR = "mirror"
"""The name of the logger that W&B and TensorBoard hang on."""
PICTURES = "pictures/"
"""Names that begin so have a picture file's path below the run folder as their value."""
OFF: dict[str, Any] = {"wandb": "disabled", "project": "stylematte", "code": True, "tensorboard": False}


def stage_logger(ctx: Context) -> list[Logger]:
    """The loggers of the fit that `ctx` describes; its curve grows in scratch.

    ctx.runtime may hold "tracking": {"wandb": …, "project": …, "code": …, "tensorboard": …}; without it nothing is
    mirrored.
    """
    tracking = {**OFF, **(ctx.runtime.get("tracking") or {})}
    run_dir = Path(ctx.runtime.get("run_dir", ctx.scratch.parent))
    loggers = [_lightning_logger(MetricsFile(Path(ctx.scratch) / METRICS), "jsonl", ctx.step_id)]
    if tracking["wandb"] != "disabled" or tracking["tensorboard"]:
        config = {"step": ctx.config, "seed": ctx.seed, "run": _resolved(run_dir)}
        mirror = FitMirror(tracking, run_dir, ctx.step_id, config, dict(ctx.inputs), ctx.scratch.suffix[1:])
        loggers.append(_lightning_logger(mirror, MIRROR, ctx.step_id))
    return loggers


def picture_file(run_dir: Path, step_id: str, name: str, step: int) -> Path:
    """Where a picture of a fit at that step lies."""
    return run_dir / FOLDER / step_id / f"{name}-{step:07d}.png"


class FitMirror:
    """The W&B run and the TensorBoard events of a fit, and RUN/tracking/STEP.jsonl with every row that they got.

    inputs: what the fit reads, and key: the beginning of its result's, for the lineage in W&B.

    A resumed fit goes on in that file as in metrics.jsonl, and its mirrors are written from the file's beginning: what
    W&B's own process had not written yet when the fit was killed is not lost, and no step is there twice.
    """

    def __init__(
        self,
        tracking: Mapping[str, Any],
        run_dir: Path,
        step_id: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, Path] | None = None,
        key: str = "",
    ) -> None:
        stage, group = step_id.rpartition("/")[2], loop_id(run_dir)
        tracking = OFF | dict(tracking)
        self.run_dir, self.step_id, self.inputs, self.key = run_dir, step_id, inputs or {}, key
        self.path = run_dir / FOLDER / f"{step_id}.jsonl"
        self._rows, self._begun, self._last = MetricsFile(self.path), False, 0
        self._events = TensorboardRun(run_dir, step_id) if tracking["tensorboard"] else None
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
        if not self._begun:
            self._begun = True
            use_read(self._run, self.run_dir, self.inputs)
        for row in rows:
            self._mirror(row)

    def _mirror(self, row: Mapping[str, Any]) -> None:
        self._last = max(self._last, row["step"])  # W&B leaves out a row whose step is below the last one's
        files = {name: self.run_dir / str(path) for name, path in row.items() if name.startswith(PICTURES)}
        files = {name: path for name, path in files.items() if path.is_file()}
        plain = {name: value for name, value in row.items() if not name.startswith(PICTURES)}
        pictures = {name: self._run.image(path) for name, path in files.items()}
        self._run.log({**plain, **pictures, "trainer/global_step": row["step"]}, step=self._last)
        if self._events is not None:
            self._events.log(row["step"], plain, files)

    def config(self, values: Any) -> None:
        self._run.config(values)

    def finish(self, well: bool = True) -> None:
        """well: the fit came to its end, so there will be a result."""
        if well and self._begun:
            log_made(self._run, self.run_dir, self.step_id, self.key)
        self._run.finish()
        if self._events is not None:
            self._events.close()


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
                target.finish(status == "success")

    return Mirror()


def _write(target: MetricsFile | FitMirror, metrics: dict[str, float], step: int) -> None:
    """One row; a full disk is a warning and no end of a fit."""
    try:
        target.write(step, metrics)
    except (OSError, ValueError) as error:
        _log.warning(f"{target.path} was not written: {one_line(error)}")
