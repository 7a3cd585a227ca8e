"""A matter's fit measured on held-out pictures while it runs: a curve, a sheet of mattes, and the best weights so far.

    validation/curve.jsonl    a line a validation: step, SAD (mean of the domains) and SAD of each domain
    validation/sheet.png      photo, cut-out and alpha of a few held-out pictures, as they are now
    validation/best/          a matter folder: the averaged network at the step of the lowest SAD

The weights that a fit gives are chosen by these pictures only with `pick`; the round's own figures then flatter a
little.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from loop.pools import Row, content, data_rows
from stylematte.atomic import replace_file
from stylematte.config import MatterFitConfig
from stylematte.imagefile import read_alpha, read_rgb
from stylematte.inference.options import InferenceOptions, shown_by
from stylematte.inference.predict import predict
from stylematte.inference.whole import WholeViews
from stylematte.jsonl import read_jsonl
from stylematte.networks.weights import save_matter
from stylematte.sheets import on_checkerboard, write_sheet

FOLDER, CURVE, SHEET, BEST = "validation", "curve.jsonl", "sheet.png", "best"
MOST = 24  # pictures of each domain
SHOWN = 4


class Validation(Callback):
    """Measures the averaged network `fit.validations` times, evenly spaced, the last time at the end of the fit.

    data: of `prepare`. What a validation writes depends on its step alone, so a resumed fit writes the same again.
    """

    def __init__(
        self, folder: Path, data: Path, domains: list[str], fit: MatterFitConfig, meta: dict[str, Any]
    ) -> None:
        self.folder, self.data, self.meta, self.tick = folder, data, meta, fit.tick
        self.rows = {domain: data_rows(data, "heldout", domain)[:MOST] for domain in domains}
        ticks = fit.steps // fit.tick
        parts = range(1, fit.validations + 1)
        self.ticks = {max(1, round(ticks * part / fit.validations)) for part in parts}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        done = trainer.current_epoch + 1
        if done in self.ticks and trainer.is_global_zero:
            values = self.measure(pl_module.ema, done * self.tick)
            for logger in trainer.loggers:
                logger.log_metrics({f"heldout/{name}": value for name, value in values.items()}, trainer.global_step)

    def measure(self, network: torch.nn.Module, step: int) -> dict[str, float]:
        """SAD of `network` by domain and their mean; curve, sheet and best weights are brought up to date."""
        values, shown = measured(network, self.data, self.rows, shown_by(self.meta))
        self._write(network, step, values, shown)
        return values

    def _write(self, network: torch.nn.Module, step: int, values: dict[str, float], shown: list[Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        before = [row for row in curve(self.folder) if row["step"] < step]
        if values["SAD"] < min((row["SAD"] for row in before), default=float("inf")):
            shutil.rmtree(self.folder / BEST, ignore_errors=True)
            save_matter(self.folder / BEST, network, self.meta | {"steps": step})
        lines = [json.dumps(row, sort_keys=True) + "\n" for row in (*before, {"step": step, **values})]
        replace_file(self.folder / CURVE, "".join(lines))
        write_sheet(self.folder / SHEET, shown, 3)


def measured(
    network: torch.nn.Module, data: Path, rows: dict[str, list[Row]], options: InferenceOptions
) -> tuple[dict[str, float], list[Tensor]]:
    """{"SAD": mean of the domains, "SAD/DOMAIN": …} on `rows` of `data`; photo, cut-out and alpha of SHOWN a domain.

    options: of the matter, for photos that kept their resolution; squares are shown as they are.
    """
    by_domain: dict[str, list[float]] = {domain: [] for domain in rows}
    shown: list[Tensor] = []
    for domain, row in ((domain, row) for domain, of_domain in rows.items() for row in of_domain):
        image, alpha, sad = _matted(network, data, row, options)
        by_domain[domain].append(sad)
        if len(by_domain[domain]) <= SHOWN:
            shown += [image, on_checkerboard(torch.cat([image, alpha])), alpha.expand(3, -1, -1)]
    means = {domain: round(float(np.mean(values)), 6) for domain, values in by_domain.items() if values}
    mean = round(float(np.mean(list(means.values()))), 6)
    return {"SAD": mean, **{f"SAD/{domain}": value for domain, value in means.items()}}, shown


@torch.no_grad()
def _matted(network: torch.nn.Module, data: Path, row: Row, options: InferenceOptions) -> tuple[Tensor, Tensor, float]:
    image = content(read_rgb(data / row["image"]), row)
    truth = content(read_alpha(data / row["alpha"]), row)
    seen = WholeViews(network, options) if row["image"].endswith(".ppm") else network
    alpha = predict(seen, image)
    return image, alpha, float((alpha - truth).abs().sum() / 1000)


def curve(folder: Path) -> list[Row]:
    """The lines of a validation folder's curve, by step; none if there is none."""
    return read_jsonl(folder / CURVE)


def best(folder: Path) -> Row:
    """The first line of the curve with its lowest SAD: the step of the best weights."""
    return min(curve(folder), key=lambda row: (row["SAD"], row["step"]))
