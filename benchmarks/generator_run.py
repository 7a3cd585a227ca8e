"""One generator trained on a folder of RGBA pictures, and what became of it over time.

    python -m benchmarks.generator_run pool DATA -o POOL [--subject portrait] [--size 64] [--least 0]
    python -m benchmarks.generator_run train POOL [KEY=VALUE ...] -o OUT --matter RUN/rounds/00/accept
                                             [--config configs/quickstart.yaml] [--looks 8] [--seed 0] [--json]

pool: the cut-outs of a folder with manifest.csv, rows of kind alpha, pseudo-alpha and mask: estimated foreground
colours, subject framed, size x size. At 64 x 64 a mask of some hundred pixels becomes a soft edge of about a pixel.
Those with a smaller mean alpha than `least` are left out (0.25 leaves busts and groups of people).

train: generator.network and generator.fit of the configuration, changed by KEY=VALUE. At `looks` equal distances G_ema
draws 256 pictures; told.jsonl gets a line, strip.png a row (its last row is real cut-outs) and last.ckpt the state: the
same command goes on where it was stopped. `minutes` are of the clock, `cpu` of the processor. Distances are those of
the loop's judge, by the features of a trained matter; the last line of the table is the training set's: its alpha, and
the distance of its every second picture with its mirror image, which is about as near as one can come.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from loop.config.load import load_config, to_dict
from loop.stages.select_generator import BATCH, Blocks, describe, distances
from stylematte.data.manifest import read_manifest
from stylematte.errors import BadPicture, ConfigError, DataError, WeightsError
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, write_rgba
from stylematte.networks.weights import load_matter
from stylematte.ops.foreground import estimate_foreground
from stylematte.sheets import on_checkerboard, write_sheet
from stylemattegan.sample import sample
from stylemattegan.training.cutouts import CutoutData, frame_cutout
from stylemattegan.training.module import GeneratorModule

COLUMNS, PICTURES = 12, 256
CLOCKS = {"minutes": time.perf_counter, "cpu": time.process_time}


def make_pool(data: Path, out: Path, subject: str, size: int, least: float) -> int:
    """Cut-outs of all labelled rows of this subject as out/*.png; how many."""
    if out.exists():
        raise DataError(f"{out} exists: name a new folder")
    out.mkdir(parents=True)
    rows = [
        row for row in read_manifest(data) if row.subject == subject and row.kind in ("alpha", "pseudo-alpha", "mask")
    ]
    for number, row in enumerate(rows):
        try:
            image, alpha = read_rgb(data / row.file), read_alpha(data / str(row.alpha))
            if image.shape[1:] == alpha.shape[1:]:
                rgba = torch.cat([estimate_foreground(image, alpha), alpha])
                framed = frame_cutout(rgba, size)
                if framed[3].mean() >= least:
                    write_rgba(out / f"{number:05d}.png", framed)
        except (BadPicture, ValueError) as error:  # ValueError: nothing is visible
            print(error)
    return len(list(out.glob("*.png")))


def alpha_statistics(pictures: Tensor) -> dict[str, float]:
    """Of straight RGBA (N, 4, H, W): mean alpha; shares of pixels below .02, above .98 and between; and the width of
    the transition in pixels, which is the area between over the length of the line alpha = 1/2.

    That line's length is pi / 4 times the number of neighbours it separates (Crofton's formula for directions evenly
    spread); a straight ramp from 0 to 1 over w pixels has a width of about w.
    """
    alpha = pictures[:, 3]
    low, high = alpha < 0.02, alpha > 0.98
    inside = alpha > 0.5
    crossings = (inside[:, 1:] ^ inside[:, :-1]).sum() + (inside[:, :, 1:] ^ inside[:, :, :-1]).sum()
    between = ~(low | high)
    return {
        "alpha": alpha.mean().item(),
        "zero": low.float().mean().item(),
        "one": high.float().mean().item(),
        "between": between.float().mean().item(),
        "width": between.sum().item() / max(math.pi / 4 * crossings.item(), 1.0),
        "alpha_sd": alpha.mean((1, 2)).std(correction=0).item(),  # between pictures
    }


def features(network: Any, pictures: Tensor) -> Blocks:
    parts = [describe(network, part) for part in pictures.split(BATCH)]
    return [np.concatenate(block) for block in zip(*parts, strict=True)]


class Looks(pl.Callback):
    """Samples, measures and checkpoints at equal distances."""

    def __init__(self, out: Path, ticks: int, looks: int, matter: Path, real: Tensor) -> None:
        self.out, self.real, self.network = out, real, load_matter(matter)
        self.at = {round(ticks * part / looks) for part in range(1, looks + 1)}
        self.features = features(self.network, real)
        self.told = [json.loads(line) for line in _lines(out / "told.jsonl")]
        before = self.told[-1] if self.told else {"minutes": 0.0, "cpu": 0.0}
        self.began = {name: clock() - 60 * before[name] for name, clock in CLOCKS.items()}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 in self.at:
            self._look(pl_module)
            trainer.save_checkpoint(self.out / "last.ckpt.partial")
            (self.out / "last.ckpt.partial").replace(self.out / "last.ckpt")

    def _look(self, module: Any) -> None:
        spent = {name: (clock() - self.began[name]) / 60 for name, clock in CLOCKS.items()}
        seeds = list(range(1, PICTURES + 1))
        drawn = sample(module.G_ema, seeds, [1.0] * PICTURES, BATCH)
        frechet, kid = distances(features(self.network, drawn), self.features, self.features)
        row = {"kimg": module.shown / 1000, **spent, "frechet": frechet, "kid": kid, "p": module.ada.p}
        row |= {"finite": bool(torch.isfinite(drawn).all()), **alpha_statistics(drawn)}
        self.told = [each for each in self.told if each["kimg"] < row["kimg"]] + [row]
        (self.out / "told.jsonl").write_text("".join(json.dumps(each) + "\n" for each in self.told))
        for seed, picture in zip(seeds[:COLUMNS], drawn, strict=False):
            folder = self.out / f"{module.shown / 1000:07.2f}"
            folder.mkdir(exist_ok=True)
            write_rgba(folder / f"{seed:04d}.png", picture)
        self.strip()

    def strip(self) -> None:
        """A row for each look, the same seeds one above the other, and one of real cut-outs."""
        files = [sorted((self.out / f"{row['kimg']:07.2f}").glob("*.png")) for row in self.told]
        pictures = [read_rgba(file) for row in files for file in row]
        write_sheet(
            self.out / "strip.png", [on_checkerboard(each) for each in [*pictures, *self.real[:COLUMNS]]], COLUMNS
        )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def train(pool: Path, out: Path, matter: Path, config: dict[str, Any], looks: int, seed: int) -> list[dict[str, Any]]:
    files = sorted(pool.glob("*.png"))
    if len(files) < 2:
        raise DataError(f"{pool}: {len(files)} .png cut-outs, expected a folder of them (`pool` makes one)")
    generator, size = config["generator"], config["data"]["size"]
    fit = generator["fit"]
    out.mkdir(parents=True, exist_ok=True)
    real = torch.stack([read_rgba(file) for file in files])
    module = GeneratorModule(generator["network"], fit, size, seed)
    data = CutoutData(
        [files], resolution=size, batch=fit["batch"], steps_per_epoch=fit["tick"], seed=seed, mirror=fit["mirror"]
    )
    look = Looks(out, fit["steps"] // fit["tick"], looks, matter, real)
    trainer = pl.Trainer(
        max_epochs=fit["steps"] // fit["tick"],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        callbacks=[look],
    )
    checkpoint = out / "last.ckpt"
    trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint.is_file() else None)
    own = features(look.network, torch.cat([real[::2], real[::2].flip(3)]))  # half the set, mirrored: what is reachable
    frechet, kid = distances(own, look.features, look.features)
    return [*look.told, {"kimg": "real", "frechet": frechet, "kid": kid, **alpha_statistics(real)}]


def show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table()
    columns = [name for name in rows[0] if name != "finite"]
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        cells = [row.get(name, "") for name in columns]
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console(width=160).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    pool = verbs.add_parser("pool")
    pool.add_argument("data", type=Path)
    pool.add_argument("-o", "--out", type=Path, required=True)
    pool.add_argument("--subject", default="portrait")
    pool.add_argument("--size", type=int, default=64)
    pool.add_argument("--least", type=float, default=0.0)
    run = verbs.add_parser("train")
    run.add_argument("pool", type=Path)
    run.add_argument("words", nargs="*", metavar="KEY=VALUE")
    run.add_argument("-o", "--out", type=Path, required=True)
    run.add_argument("--matter", type=Path, required=True)
    run.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    run.add_argument("--looks", type=int, default=8)
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--json", action="store_true")
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    try:
        if args.verb == "pool":
            print(make_pool(args.data, args.out, args.subject, args.size, args.least), "cut-outs")
            return
        config = to_dict(load_config(args.config, args.words))
        rows = train(args.pool, args.out, args.matter, config, args.looks, args.seed)
    except (BadPicture, ConfigError, DataError, WeightsError) as error:
        sys.exit(str(error))
    if args.json:
        print(json.dumps(rows))
    else:
        show(rows)


if __name__ == "__main__":
    main()
