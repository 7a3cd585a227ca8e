"""Learning rates, throughput and GPU memory of a fit, for the mirrors alone: they are no part of a stage's result.

metrics.jsonl is one, and equal fits write equal files; how fast a machine was must not change what depends on it.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from loop.tracking.fit_loggers import MIRROR


class Gauges(Callback):
    """Logs at the steps at which Lightning logs. batch: pictures a step, over all ranks.

    lr/NETWORK: of the optimizer of that member of the module (lr/NETWORK/1 and so on: of its further groups).
    speed/steps_per_s, speed/pictures_per_s: since the last time. memory/gpu_GB: the most that was allocated.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._since: tuple[int, float] | None = None
        self._rates: dict[str, float] = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        if _logs(trainer):  # here and not at the end of the step: by then the schedule has set the next one's rate
            self._rates |= learning_rates(optimizer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        if not _logs(trainer):
            return
        step = trainer.fit_loop.total_batch_idx
        values = {**self._rates, **self._speed(step)}
        if pl_module.device.type == "cuda":
            values["memory/gpu_GB"] = torch.cuda.max_memory_allocated(pl_module.device) / 1e9
        for logger in trainer.loggers:
            if logger.name == MIRROR:
                logger.log_metrics(values, step)

    def _speed(self, step: int) -> dict[str, float]:
        now, before = time.perf_counter(), self._since
        self._since = step, now
        if before is None:
            return {}
        pace = (step - before[0]) / max(now - before[1], 1e-9)
        return {"speed/steps_per_s": pace, "speed/pictures_per_s": pace * self.batch}


def learning_rates(optimizer: torch.optim.Optimizer, module: torch.nn.Module) -> dict[str, float]:
    """{"lr/G": rate, …} of its groups, by the member of `module` whose parameters it moves."""
    owners = {id(parameter): name.partition(".")[0] for name, parameter in module.named_parameters()}
    found = {}
    for index, group in enumerate(optimizer.param_groups):
        owner = next((owners[id(p)] for p in group["params"] if id(p) in owners), "other")
        found[f"lr/{owner}" + (f"/{index}" if index else "")] = float(group["lr"])
    return found


def _logs(trainer: Any) -> bool:
    """Whether Lightning logs at this step, and this rank is the one that writes."""
    return bool(trainer.is_global_zero) and (trainer.fit_loop.total_batch_idx + 1) % trainer.log_every_n_steps == 0
