"""The Lightning Trainer of every fit: a checkpoint at each tick, resume from it, a clean stop, heartbeat and progress.

The gradients are reduced by the modules themselves (`stylematte.distributed`), so the strategy here opens the process
group and wraps nothing: plain DDP dies at the second backward of two networks in one module (Lightning issue #20328).
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.strategies import DDPStrategy

from loop.engine import signals
from loop.engine.heartbeat import Progress, beat, warn
from loop.engine.stage import Context, Stopped
from loop.fitting import checkpoints
from loop.tracking.curves import METRICS
from loop.tracking.fit_loggers import MIRROR, stage_logger
from loop.tracking.gauges import Gauges
from stylematte.config import FitConfig
from stylematte.distributed import any_over_ranks, broadcast_module

EXPECTED_WARNINGS = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 under the torch that is pinned here
    r"Found \d+ module\(s\) in eval mode at the start of training",  # the averaged copies are, on purpose
    r"The '\w+_dataloader' does not have many workers",  # how many is the configuration's choice
)
"""Beginnings of messages that say nothing to a user; every other warning is shown."""


class ReducingStrategy(DDPStrategy):
    """DDP's process group, barriers and checkpoints without its wrapper."""

    def configure_ddp(self) -> None:
        assert self.model is not None
        broadcast_module(self.model)


class Ticks(Checkpoint):
    """At the end of every epoch (= tick of some steps): checkpoint to scratch, then stop if anyone was asked to.

    A Checkpoint, because Lightning calls those after the module's own hook: it refuses broken weights first.
    """

    def __init__(self, scratch: Path, tick: int, begin: checkpoints.Start, snapshots: str | None) -> None:
        self.scratch, self.tick, self.snapshots = scratch, tick, snapshots
        self.before, self.anew = begin.checkpoint, begin.checkpoint is None
        self.stopped = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        signals.install()  # Lightning put its own handler in at fit start; it broadcasts, and hangs if one rank is hit
        if self.anew and trainer.is_global_zero:  # by now every rank has looked for a checkpoint
            checkpoints.forget(self.scratch, self.snapshots)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        done = trainer.current_epoch * self.tick + batch_idx + 1
        beat(self.scratch, Progress(done, trainer.max_epochs * self.tick))

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainer.save_checkpoint(self.scratch / checkpoints.PARTIAL)
        if trainer.is_global_zero:
            checkpoints.keep(self.scratch, self.before, self.snapshots)
        self.before = self.scratch / checkpoints.LAST
        if any_over_ranks(signals.stop_requested()):
            self.stopped = trainer.current_epoch + 1 < trainer.max_epochs
            trainer.should_stop = True


def fit(
    module: Any,
    data: Any,
    ctx: Context,
    config: FitConfig,
    precision: str,
    callbacks: Sequence[Callback] = (),
    snapshots: str | None = None,
) -> None:
    """Fit `module` on `data`, resuming from scratch's checkpoint. Raises Stopped when a signal cut it short.

    precision: as Lightning names it. callbacks: more of them; what they do at the end of a tick comes before its
    checkpoint. snapshots: the folder in scratch that they write networks to. A damaged checkpoint is passed over, with
    one warning.
    """
    begin = checkpoints.start(ctx.scratch, snapshots)
    if begin.warning and ctx.is_first_rank:
        warn(ctx.scratch, f"{ctx.step_id}: {begin.warning}")
    ticks = Ticks(ctx.scratch, config.tick, begin, snapshots)
    _quiet()
    loggers = stage_logger(ctx)
    gauges = [Gauges(config.batch)] if any(logger.name == MIRROR for logger in loggers) else []
    trainer = lightning.Trainer(
        max_epochs=config.steps // config.tick,
        limit_train_batches=config.tick,
        accelerator=_accelerator(ctx),
        devices=ctx.world,
        strategy=ReducingStrategy() if ctx.world > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
        logger=loggers,
        callbacks=[ticks, *gauges, *callbacks],
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=max(1, config.steps // 200),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        benchmark=False,
    )
    try:
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            trainer.fit(module, datamodule=data, ckpt_path=begin.checkpoint and str(begin.checkpoint))
    finally:  # also of a fit that diverged: its curve is what one wants to see
        if ctx.is_first_rank and (ctx.scratch / METRICS).is_file():
            shutil.copyfile(ctx.scratch / METRICS, ctx.out / METRICS)
    if ticks.stopped:
        raise Stopped(f"{ctx.step_id} stopped at step {trainer.current_epoch * config.tick} of {config.steps}")


def _accelerator(ctx: Context) -> str:
    wanted = ctx.runtime.get("accelerator", "auto")
    if wanted == "gpu" and not torch.cuda.is_available():
        raise ValueError("launch.accelerator=gpu: torch sees no GPU here; use cpu or auto")
    return "cpu" if wanted == "auto" and not torch.cuda.is_available() else wanted


def _quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
