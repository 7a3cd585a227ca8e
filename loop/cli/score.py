"""stylematte score PRED TRUTH [--trimap DIR]"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

from loop.cli import score_table
from stylematte.errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_ENDINGS = ("_alpha", "_matte", "_mask", "_trimap")


class Match(NamedTuple):
    name: str
    pred: Path
    truth: Path
    trimap: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pred", type=Path, help="an alpha picture, or a folder of them")
    parser.add_argument("truth", type=Path, help="the true alpha, or a folder with files of the same names")
    parser.add_argument("--trimap", type=Path, help="trimap or folder: adds the unknown region, SAD-FG and SAD-BG")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the figures per picture to FILE")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    matches = _matches(args.pred, args.truth, args.trimap)
    from loop.cli.photos import shown

    rows = {match.name: _scored(match) for match in shown(matches, "scoring", len(matches))}
    result = score_table.told(rows)
    if args.csv:
        score_table.write_csv(args.csv, rows)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        score_table.print_table(result)
    return 0


def _scored(match: Match) -> dict[str, float]:
    from stylematte.imagefile import read_alpha, read_trimap
    from stylematte.metrics import score_pair

    pred, truth = read_alpha(match.pred)[0].numpy(), read_alpha(match.truth)[0].numpy()
    trimap = None if match.trimap is None else read_trimap(match.trimap)[0].numpy()
    for path, array in ((match.pred, pred), (match.trimap, trimap)):
        if path and array is not None and array.shape != truth.shape:
            raise DataError(
                f"{path}: {array.shape[1]} x {array.shape[0]} pixels, its truth {truth.shape[1]} x {truth.shape[0]}; "
                "resize the prediction to the truth's size (never the truth, never a trimap)"
            )
    try:
        return score_pair(pred, truth, trimap)
    except ValueError as error:
        raise DataError(f"{match.trimap or match.pred}: {error}") from None


def _alphas(folder: Path) -> dict[str, Path]:
    """Photo name -> alpha file: as `stylematte matte` names them (NAME_alpha.png), or simply NAME.png."""
    named: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in PICTURES or file.stem.endswith("_cutout"):
            continue
        name = next((file.stem.removesuffix(end) for end in _ENDINGS if file.stem.endswith(end)), file.stem)
        if name in named:
            raise DataError(f"{folder}: {named[name].name} and {file.name} are both of the picture {name}; keep one")
        named[name] = file
    return named


def _matches(pred: Path, truth: Path, trimap: Path | None) -> list[Match]:
    given = [path for path in (pred, truth, trimap) if path]
    for path in given:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
    if all(path.is_file() for path in given):
        return [Match(pred.stem, pred, truth, trimap)]
    if any(path.is_file() for path in given):
        raise DataError("PRED, TRUTH and --trimap must all be files or all be folders")
    truths, predictions = _alphas(truth), _alphas(pred)
    trimaps = _alphas(trimap) if trimap else {}
    _demand(predictions, truths, "truth", pred, truth)
    if trimap:
        _demand(predictions, trimaps, "trimap", pred, trimap)
    unmatched = sorted(truths.keys() - predictions.keys())
    if unmatched:
        print(f"stylematte: {len(unmatched)} truths have no prediction, for example {unmatched[0]}", file=sys.stderr)
    return [Match(name, file, truths[name], trimaps.get(name)) for name, file in predictions.items()]


def _demand(predictions: dict[str, Path], others: dict[str, Path], what: str, pred: Path, folder: Path) -> None:
    missing = [file.name for name, file in predictions.items() if name not in others]
    if missing or not predictions:
        named = ", ".join(missing[:3]) or f"no pictures in {pred}"
        raise DataError(f"no {what} for {len(missing)} of {len(predictions)} predictions ({named}) in {folder}")
