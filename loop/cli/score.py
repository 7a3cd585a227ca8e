"""`stylematte score PRED TRUTH [--trimap DIR]`: SAD, MSE, MAD, Grad, Conn of mattes against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pred", type=Path, help="an alpha picture, or a folder of them")
    parser.add_argument("truth", type=Path, help="the true alpha, or a folder with files of the same names")
    parser.add_argument("--trimap", type=Path, help="trimap or folder: adds the unknown region, SAD-FG and SAD-BG")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the figures per picture to FILE")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from loop.cli.score_table import print_table
    from stylematte.evaluate.score import score

    scores = score(args.pred, args.truth, args.trimap, track=bar("scoring"))
    if args.csv:
        scores.write_csv(args.csv)
    if args.json:
        print(json.dumps(vars(scores), indent=2))
    else:
        print_table(scores)
    return 0
