"""How far the closed-form teacher can be trusted: its error in the unknown region, by the width of the trimap.

    python -m benchmarks.closed_form DATA_ROOT [--sides 128 256] [--kinds alpha ...] [--epsilon 1e-7 ...] [--json]

Every pair of the data root is shrunk to the side given. Trimaps: `tight` from the alpha at 0.02 of sqrt(area), `wide`
from the alpha at 0.1, `mask` from alpha > 1/2 at 0.05 (hair may lie outside), `given` the data's own where it has one.
Printed per trimap: the unknown share; SAD in the unknown region (in thousands, mean over pictures) of the unknown set
to 1/2, of the binarised truth (what a perfect segmentation gives), and of the closed form; its MSE there; the error of
its known region, which is the trimap's; seconds per picture.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, resize
from stylematte.ops.closed_form import EPSILONS, closed_form_alpha
from stylematte.rgba import trimap_of_shares
from stylematte.trimap import from_alpha, from_mask, problem

FIGURES = ("unknown", "SAD of 1/2", "SAD of binary", "SAD", "MSE", "wrong known", "seconds")


def pairs(root: Path, side: int, kinds: list[str]) -> Iterator[tuple[str, Tensor, Tensor, Tensor | None]]:
    """("subject, kind", image, alpha, own trimap) with the longest side at `side`."""
    with (root / "manifest.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] in kinds]
    for row in rows:
        image, alpha = read_rgb(root / row["file"]), read_alpha(root / row["alpha"])
        scale = side / max(image.shape[1:])
        size = round(image.shape[1] * scale), round(image.shape[2] * scale)
        own = None
        if row.get("trimap"):
            trimap = read_trimap(root / row["trimap"])
            own = trimap_of_shares(*(resize((trimap == value).float(), size) for value in (0, 1)))
        yield f"{row['subject']}, {row['kind']}", resize(image, size), resize(alpha, size), own


def figures(image: Tensor, alpha: Tensor, trimap: Tensor, epsilons: tuple[float, ...]) -> dict[str, float] | None:
    """The row of one picture; None if its trimap is of no use or cannot be solved."""
    unknown = trimap == 0.5
    if problem(trimap):
        return None
    start = time.process_time()
    try:
        solved = closed_form_alpha(image, trimap, epsilons=epsilons)
    except DataError:
        return None
    seconds = time.process_time() - start

    def sad(pred: Tensor) -> float:
        return float((pred - alpha).abs()[unknown].sum() / 1000)

    return {
        "unknown": float(unknown.float().mean()),
        "SAD of 1/2": sad(trimap),
        "SAD of binary": sad((alpha > 0.5).float()),
        "SAD": sad(solved),
        "MSE": float((solved - alpha)[unknown].square().mean()),
        "wrong known": float((trimap - alpha).abs()[~unknown].sum() / 1000),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--kinds", nargs="+", default=["alpha", "pseudo-alpha"])
    parser.add_argument("--epsilon", type=float, nargs="+", default=[None], help="default: what the library tries")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    image = torch.rand(3, 16, 16)
    closed_form_alpha(image, torch.linspace(0, 1, 16).mul(2).round().div(2).expand(1, 16, 16))  # load and compile

    found: dict[tuple[object, ...], list[dict[str, float]]] = defaultdict(list)
    for side in args.sides:
        for kind, image, alpha, own in pairs(args.root, side, args.kinds):
            made = {"tight": from_alpha(alpha), "wide": from_alpha(alpha, 0.1), "mask": from_mask(alpha), "given": own}
            for (name, trimap), epsilon in ((item, e) for item in made.items() for e in args.epsilon):
                row = trimap is not None and figures(image, alpha, trimap, (epsilon,) if epsilon else EPSILONS)
                if row:
                    found[side, kind, name, epsilon or "default"].append(row)
    means = [
        (*key, len(rows), {name: fmean(row[name] for row in rows) for name in FIGURES}) for key, rows in found.items()
    ]
    if args.json:
        names = ("side", "pictures", "trimap", "epsilon", "n", "means")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in means], indent=2))
        return
    table = Table("side", "pictures", "trimap", "epsilon", "n", *FIGURES)
    for *key, values in sorted(means, key=lambda row: row[:3]):
        table.add_row(*map(str, key), *(f"{values[name]:.4f}" for name in FIGURES))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
