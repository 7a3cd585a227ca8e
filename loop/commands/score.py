"""stylematte score PRED TRUTH"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
MEASURES = ("SAD", "MSE", "MAD", "Grad", "Conn")


class ScoreError(ValueError):
    exit_code = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pred", type=Path, help="an alpha picture, or a folder of them")
    parser.add_argument("truth", type=Path, help="the true alpha, or a folder with files of the same names")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    pairs = _pairs(args.pred, args.truth)
    from rich.progress import track
    from rich.table import Table

    from loop.commands.console import wide_console
    from stylematte.imagefile import read_alpha
    from stylematte.metrics import score_pair

    rows = {}
    for pred, truth in track(pairs, "scoring", transient=True, disable=args.json or len(pairs) < 8):
        predicted, true = read_alpha(pred)[0].numpy(), read_alpha(truth)[0].numpy()
        if predicted.shape != true.shape:
            raise ScoreError(
                f"{pred.name}: {predicted.shape[1]} x {predicted.shape[0]} pixels, its truth {true.shape[1]} x "
                f"{true.shape[0]}; resize the prediction to the truth's size (never the truth)"
            )
        rows[pred.stem] = {key: float(value) for key, value in score_pair(predicted, true).items()}
    mean = {key: sum(row[key] for row in rows.values()) / len(rows) for key in MEASURES}
    if args.json:
        print(json.dumps({"pictures": rows, "mean": mean}, indent=2))
        return 0
    table = Table("picture", *MEASURES)
    for name, row in [*rows.items(), ("mean", mean)]:
        table.add_row(name, *(f"{row[key]:.5f}" for key in MEASURES))
    wide_console().print(table)
    return 0


def _alphas(folder: Path) -> dict[str, Path]:
    """Photo name -> alpha file: as `stylematte matte` names them (NAME_alpha.png), or simply NAME.png."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    return {file.stem.removesuffix("_alpha"): file for file in files if not file.stem.endswith("_cutout")}


def _pairs(pred: Path, truth: Path) -> list[tuple[Path, Path]]:
    for path in (pred, truth):
        if not path.exists():
            raise ScoreError(f"{path}: no such file or folder")
    if pred.is_file() and truth.is_file():
        return [(pred, truth)]
    if pred.is_file() or truth.is_file():
        raise ScoreError("PRED and TRUTH must both be files or both be folders")
    truths, predictions = _alphas(truth), _alphas(pred)
    pairs = [(file, truths[name]) for name, file in predictions.items() if name in truths]
    missing = [file.name for name, file in predictions.items() if name not in truths]
    if missing or not pairs:
        named = ", ".join(missing[:3]) or f"no pictures in {pred}"
        raise ScoreError(f"no truth for {len(missing)} of {len(predictions)} predictions ({named}) in {truth}")
    unmatched = sorted(truths.keys() - predictions.keys())
    if unmatched:
        print(f"stylematte: {len(unmatched)} truths have no prediction, for example {unmatched[0]}", file=sys.stderr)
    return pairs
