"""What a fit can do so far, for the mirrors alone: SAD and mattes of a few held-out pictures, or generated cut-outs.

Nothing of it enters a result: networks are looked at without gradients and without random numbers, and metrics.jsonl
does not have it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from loop.engine.stage import Context
from loop.fitting.validation import measured
from loop.pools import data_rows
from loop.tracking.fit_loggers import MIRROR, picture_file
from stylematte.config import FitConfig
from stylematte.inference.options import InferenceOptions
from stylematte.sheets import on_checkerboard, write_sheet
from stylemattegan.sample import sample

PICTURES = 8  # held-out ones of each domain that a matter is measured on
FAKES = 16
Look = Callable[[Any, Path], dict[str, float]]
"""(the module, where the sheet is to be written) -> numbers by name."""


class Previews(Callback):
    """Looks `tracking.previews` times, evenly spaced, the last time at the end of the fit. name: of the sheet."""

    def __init__(self, ctx: Context, fit: FitConfig, name: str, look: Look) -> None:
        self.run_dir, self.step_id = Path(ctx.runtime.get("run_dir", ctx.scratch.parent)), ctx.step_id
        self.tick, self.name, self.look = fit.tick, name, look
        count, ticks = int((ctx.runtime.get("tracking") or {}).get("previews", 0)), fit.steps // fit.tick
        self.ticks = {max(1, round(ticks * part / count)) for part in range(1, count + 1)}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        mirrors = [logger for logger in trainer.loggers if logger.name == MIRROR]
        done = trainer.current_epoch + 1
        if done not in self.ticks or not trainer.is_global_zero or not mirrors:
            return
        step = done * self.tick - 1  # that of the row that the last batch logged
        file = picture_file(self.run_dir, self.step_id, self.name, step)
        file.parent.mkdir(parents=True, exist_ok=True)
        values = self.look(pl_module, file)
        for mirror in mirrors:
            mirror.log_metrics({**values, f"pictures/{self.name}": str(file.relative_to(self.run_dir))}, step)


def heldout(data: Path, domains: list[str], options: InferenceOptions) -> Look:
    """Of the averaged matter; data: of `prepare`; options: how the matter is usually shown photos."""
    rows = {domain: data_rows(data, "heldout", domain)[:PICTURES] for domain in domains}

    def look(module: Any, file: Path) -> dict[str, float]:
        values, shown = measured(module.ema, data, rows, options)
        write_sheet(file, shown, 3)
        return {f"heldout/{name}": value for name, value in values.items()}

    return look


def fakes(module: Any, file: Path) -> dict[str, float]:
    """Of the averaged generator, from the latents of its sheets in every round."""
    pictures = sample(module.G_ema, list(range(1, FAKES + 1)), [1.0] * FAKES, FAKES)
    write_sheet(file, [on_checkerboard(picture) for picture in pictures.cpu()], 8)
    return {}
