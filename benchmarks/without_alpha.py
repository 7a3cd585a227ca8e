"""What labels short of an alpha are worth: the same pictures, network and steps under different supervision.

    python -m benchmarks.without_alpha DATA [--seeds 3] [--steps 150] [--size 64] [--batch 8] [--json]

DATA is a folder with manifest.csv; of its rows of kind alpha and pseudo-alpha with a trimap, 40 percent are held out by
the hash of their name. Each arm is a fit of the small Swin of configs/quickstart.yaml from random weights, through the
loop's own module and batches. Printed per arm: SAD (thousands, mean over held-out pictures, lower is better) in the
unknown region of the data's trimaps and of the whole picture, mean and range over seeds; the unknown SAD relative to
the first arm, with the 95 % interval of a paired bootstrap over pictures (errors averaged over seeds); `taught`, the
same on the pictures trained on. A fit stopped as collapsed is measured as it then stood, and marked.

Finished fits are kept (--kept FILE), one line each: the same command goes on where it was stopped. `--arms` without
names fits nothing and prints the table of what is there.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from loop.cli.exit_codes import exit_code
from stylematte.config import (
    BackboneConfig,
    DdcBorder,
    DdcConfig,
    DdcRegion,
    DdcVariant,
    FpnConfig,
    MatterFitConfig,
    MatterLossConfig,
)
from stylematte.data.datamodule import MatterData, Source
from stylematte.data.folders import centre_square, content_box, square, square_trimap
from stylematte.data.manifest import BACKGROUND, MEASURED, heldout, read_manifest
from stylematte.data.trimaps import TrimapOptions, teach, weaken
from stylematte.errors import BadPicture, DataError
from stylematte.evaluate.statistics import paired_bootstrap
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, resize, write_alpha, write_rgb, write_trimap
from stylematte.losses.ddc import PAPER
from stylematte.module import Collapsed, MatterModule
from stylematte.ops.foreground import estimate_foreground
from stylematte.trimap import problem

Row = dict[str, Any]
HELDOUT = 40.0
SWIN = {"embed_dim": 32, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8], "window_size": 4, "drop_path_rate": 0.0}
NETWORK = FpnConfig(backbone=BackboneConfig("swin_tiny_patch4_window7_224", kwargs=SWIN), channels=64)
FIT = MatterFitConfig(lr=2e-3, weight_decay=1e-2, warmup=25, ema=0.98, clip=1.0)
OFF = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "use_distributed_sampler")
ALPHA = {"l1": 1.0, "laplacian": 0.5, "gradient": 0.5, "composition": 1.0}
LOCAL = replace(PAPER, border=DdcBorder.exclude, region=DdcRegion.unknown, warmup=None)


class Arm(NamedTuple):
    """label: which of a picture's labels it sees, "alpha" | "mask" | "trimap" | "mask trimap". The rest: its losses."""

    label: str
    losses: Mapping[str, float]
    ddc: DdcConfig = LOCAL
    new_background: float = 0.0


def consistent(variant: str, weight: float, label: str = "trimap", options: DdcConfig = LOCAL) -> Arm:
    return Arm(label, {"known": 1.0, "ddc": weight}, replace(options, variant=DdcVariant(variant)))


ARMS = {
    "alpha": Arm("alpha", ALPHA),
    "trimap: known + ddc 2": consistent("ddc", 2.0),
    "trimap: known + ddc 10": consistent("ddc", 10.0),
    "trimap: known + scaled 2": consistent("scaled", 2.0),
    "trimap: known + hinge 2": consistent("hinge", 2.0),
    "trimap: known only": Arm("trimap", {"known": 1.0}),
    "trimap: known + closed form 0.5": Arm("trimap", {"known": 1.0, "closed_form": 0.5}),
    "mask as alpha": Arm("mask", ALPHA),
    "mask as trimap: known + scaled 2": consistent("scaled", 2.0, "mask trimap"),
    "trimap: the paper's, ddc 10 from step 0": consistent("ddc", 10.0, options=PAPER),
    "alpha, half on new backgrounds": Arm("alpha", ALPHA, new_background=0.5),
}


def prepared(root: Path, out: Path, size: int) -> list[Row]:
    """The pairs at size x size with every label an arm may ask for; a row whose trimap is of no use is left out."""
    manifest = read_manifest(root)  # refuses what is no data root
    for number, photo in enumerate(row.file for row in manifest if row.kind == BACKGROUND):
        write_rgb(out / "background" / f"{number:03d}.png", centre_square(read_rgb(root / photo), size))
    with (root / "manifest.csv").open(newline="", encoding="utf-8-sig") as lines:
        wanted = [row for row in csv.DictReader(lines) if row["kind"] in MEASURED and row.get("trimap")]
    rows = []
    for number, row in enumerate(wanted):
        photo, trimap = read_rgb(root / row["file"]), square_trimap(read_trimap(root / row["trimap"]), size)
        height, width = photo.shape[-2:]
        image, alpha = square(photo, size), square(resize(read_alpha(root / row["alpha"]), (height, width)), size)
        if problem(trimap):
            print(f"left out {row['file']}: its trimap at {size} pixels: {problem(trimap)}", file=sys.stderr)
            continue
        split = "heldout" if heldout(row["file"], HELDOUT) else "train"
        kept: Row = {"source": row["file"], "subject": row["subject"], "kind": row["kind"], "split": split}
        kept |= {"id": f"{number:03d}", "box": content_box(height, width, size)}
        kept |= {key: f"{key}/{number:03d}.png" for key in ("image", "alpha", "foreground", "trimap")}
        write_rgb(out / kept["image"], image)
        write_alpha(out / kept["alpha"], alpha)
        write_rgb(out / kept["foreground"], estimate_foreground(image, alpha))
        write_trimap(out / kept["trimap"], trimap)
        teach(out, kept)
        masked = {**kept, "id": f"mask/{number:03d}"}
        masked |= {key: f"mask/{key}/{number:03d}.png" for key in ("alpha", "foreground")}
        write_alpha(out / masked["alpha"], alpha)
        rows.append({**kept, "masked": weaken(out, masked, TrimapOptions())})
    return rows


def taught_rows(folder: Path, rows: Sequence[Row], arm: Arm) -> list[Row]:
    """What the arm trains on: the training rows with its label alone, paths absolute."""
    keys = {"alpha": ("alpha", "foreground"), "mask": ("alpha", "foreground")}.get(arm.label, ("trimap",))
    found = []
    for row in rows:
        labels = row["masked"] if arm.label.startswith("mask") else row
        if row["split"] == "train" and labels.get(keys[0]):
            found.append({"id": row["id"], **{key: folder / labels[key] for key in ("image", *keys)}})
            if "closed_form" in arm.losses and row.get("closed_form"):
                found[-1]["closed_form"] = folder / row["closed_form"]
    return found


def fit(arm: Arm, folder: Path, rows: Sequence[Row], seed: int, args: argparse.Namespace) -> tuple[MatterModule, str]:
    """The fitted module, and "" or why the fit was stopped."""
    options = replace(FIT, steps=args.steps, losses=MatterLossConfig.only(**arm.losses), ddc=arm.ddc)
    module = MatterModule(NETWORK, options, seed)
    by_trimap = arm.label.endswith("trimap")
    source = Source(arm.label, taught_rows(folder, rows, arm), 1.0, by_trimap=by_trimap)
    backgrounds = sorted((folder / "background").glob("*.png"))
    own = {"seed": seed, "new_background": arm.new_background}
    data = MatterData([source], backgrounds, args.size, args.batch, args.steps, **own)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", devices=1, **dict.fromkeys(OFF, False))
    try:
        trainer.fit(module, datamodule=data)
    except Collapsed as error:
        return module, str(error)
    return module, ""


def half(images: Tensor) -> Tensor:
    """The matte of who knows nothing, (N, 3, H, W) -> (N, 1, H, W): what an unknown SAD is worth."""
    return torch.full_like(images[:, :1], 0.5)


@torch.no_grad()
def errors(matter: Callable[[Tensor], Tensor], folder: Path, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Picture -> SAD in thousands over its own frame (not the padding): "unknown" region, and "whole"."""
    found = {}
    predictions = matter(torch.stack([read_rgb(folder / row["image"]) for row in rows]))
    for row, prediction in zip(rows, predictions, strict=True):
        top, left, height, width = row["box"]
        alpha, trimap = read_alpha(folder / row["alpha"]), read_trimap(folder / row["trimap"])
        difference = (prediction - alpha).abs()
        both = torch.stack([difference * (trimap == 0.5), difference])[..., top : top + height, left : left + width]
        unknown, whole = both.double().flatten(1).sum(1).div(1000).tolist()
        found[row["source"]] = {"unknown": unknown, "whole": whole}
    return found


def kept_fits(path: Path, settings: Mapping[str, Any]) -> dict[tuple[str, int], Row]:
    """The finished fits of the same settings, by (arm, seed)."""
    fits = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            kept = json.loads(line)
        except ValueError:  # a line cut short is made again
            continue
        if kept["settings"] == settings:
            fits[kept["arm"], kept["seed"]] = kept
    return fits


def keep(path: Path, kept: Row) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = not path.is_file() or path.read_text(encoding="utf-8").endswith("\n")
    with path.open("a", encoding="utf-8") as lines:
        lines.write(("" if whole else "\n") + json.dumps(kept) + "\n")


def run(args: argparse.Namespace, folder: Path) -> tuple[list[Row], dict[str, float]]:
    """Every (arm, seed), those that were kept and those that were still to do, and the unknown SAD of `half`."""
    rows = prepared(args.data, folder, args.size)
    split = {name: [row for row in rows if row["split"] == name] for name in ("train", "heldout")}
    if not split["train"] or not split["heldout"]:
        raise DataError(f"{args.data}: {len(rows)} pairs with a trimap, none to train on or none held out")
    sizes = {name: len(members) for name, members in split.items()}
    settings = {"steps": args.steps, "size": args.size, "batch": args.batch, "pictures": sizes}
    fits = kept_fits(args.kept, settings)
    for seed, name in ((seed, name) for seed in range(args.seeds) for name in args.arms):
        if (name, seed) in fits:
            continue
        start = time.process_time()
        module, stopped = fit(ARMS[name], folder, rows, seed, args)
        measured = {kind: errors(module, folder, members) for kind, members in split.items()}
        seconds = round(time.process_time() - start, 1)
        trained = len(taught_rows(folder, rows, ARMS[name]))
        fits[name, seed] = {"arm": name, "seed": seed, "settings": settings, "stopped": stopped, "trained": trained}
        fits[name, seed] |= {"seconds": seconds, **measured}
        keep(args.kept, fits[name, seed])
        print(f"seed {seed}, {name}: {seconds:.0f} s{f', {stopped}' if stopped else ''}", file=sys.stderr, flush=True)
    blank = {kind: errors(half, folder, members) for kind, members in split.items()}
    nothing = {kind: fmean(each["unknown"] for each in found.values()) for kind, found in blank.items()}
    return [fit for (_, seed), fit in fits.items() if seed < args.seeds], nothing


def summary(fits: Sequence[Row]) -> list[Row]:
    """One row per arm, in the order of ARMS, compared with the first over the seeds that both have."""
    of = {name: {fit["seed"]: fit for fit in fits if fit["arm"] == name} for name in ARMS}
    first = next(iter(ARMS))
    table = []
    for name, by_seed in of.items():
        common = sorted(by_seed.keys() & of[first].keys())
        if not common:
            continue
        row: Row = {"arm": name, "seeds": len(common), "trained": by_seed[common[0]]["trained"]}
        for column, split, figure in (
            ("unknown", "heldout", "unknown"),
            ("whole", "heldout", "whole"),
            ("taught", "train", "unknown"),
        ):
            row[column] = [fmean(each[figure] for each in by_seed[seed][split].values()) for seed in common]
        for column, split in (("change", "heldout"), ("taught change", "train")):
            new, best = (_over_seeds([of[arm][seed][split] for seed in common]) for arm in (name, first))
            interval = paired_bootstrap(new, best)
            row[column] = [interval.relative_change, interval.low, interval.high]
        row["stopped"] = {seed: by_seed[seed]["stopped"] for seed in common if by_seed[seed]["stopped"]}
        table.append(row)
    return table


def _over_seeds(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    return {name: fmean(run[name]["unknown"] for run in runs) for name in runs[0]}


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def _against(change: Sequence[float]) -> str:
    return "{:+.0%} ({:+.0%} to {:+.0%})".format(*change)


def show(table: Sequence[Row], nothing: Mapping[str, float]) -> None:
    titles = ("arm", "seeds", "SAD unknown", "against alpha", "SAD whole", "taught", "against alpha", "collapsed")
    drawn = Table(*titles)
    for row in table:
        held, taught = (_against(row[key]) if row is not table[0] else "" for key in ("change", "taught change"))
        cells = [row["arm"], str(row["seeds"]), _spread(row["unknown"]), held, _spread(row["whole"])]
        drawn.add_row(*cells, _spread(row["taught"]), taught, f"{len(row['stopped'])} of {row['seeds']}")
    console = Console(width=200)
    console.print(drawn)
    console.print(f"1/2 everywhere: unknown {nothing['heldout']:.4f}, taught {nothing['train']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    for name, default in (("seeds", 3), ("steps", 150), ("size", 64), ("batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), metavar="ARM", help="fit these alone")
    parser.add_argument("--kept", type=Path, default=Path("runs/without_alpha.jsonl"), help="finished fits")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if unknown := sorted(set(args.arms) - set(ARMS)):
        parser.error(f"--arms: no arm '{unknown[0]}', there are: {'; '.join(ARMS)}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            fits, nothing = run(args, Path(folder))
    except (DataError, BadPicture) as error:
        print(f"without_alpha: {error}", file=sys.stderr)
        sys.exit(exit_code(error))
    table = summary(fits)
    if args.json:
        print(json.dumps({"arms": table, "half": nothing}, indent=2))
    else:
        show(table, nothing)


if __name__ == "__main__":
    main()
