"""`stylematte evaluate MATTER --data DIR`: inference and scoring of a matter on a data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.inference_options import add_inference_options, asked_options
from loop.runs.verify import sound


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("matter", type=Path, help="a run, an export, or a matter folder")
    parser.add_argument(
        "--data", type=Path, required=True, help="a released data set, image/ + alpha/, or manifest.csv"
    )
    parser.add_argument("-o", "--out", type=Path, help="folder for the results (default: evaluations/NAME OF DATA)")
    parser.add_argument("--layout", default="auto", help="how the data lies on disk (default: found by its folders)")
    parser.add_argument("--split", action="append", help="only this split; may be repeated (default: all but train)")
    parser.add_argument("--subject", action="append", help="only this subject; may be repeated")
    parser.add_argument("--kind", action="append", help="truth to measure against; may be repeated (default: alpha)")
    add_inference_options(parser, own_size=True)
    parser.add_argument(
        "--trimap",
        help="variant detail sees one, too: 'data' for the data set's own, or a number to make it of the truth, "
        "unknown within so many pixels of the soft edge. Known pixels are set in the alpha, as trimap matting has it",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from loop.cli.score_table import print_table
    from stylematte.evaluate.dataset import SHEET, SUMMARY, TABLE, evaluate
    from stylematte.evaluate.table import WORST
    from stylematte.inference.matter import matter_folder

    out = args.out or Path("evaluations") / args.data.resolve().name
    sound(matter_folder(args.matter))
    result = evaluate(
        args.matter,
        args.data,
        out,
        layout=args.layout,
        splits=args.split or (),
        subjects=args.subject or (),
        kinds=args.kind or ("alpha",),
        asked=asked_options(args, own_size=True),
        trimap=args.trimap,
        workers=args.workers,
        device=args.device,
        track=bar("evaluating"),
    )
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print_table(result.scores, f"{result.about['matter']} on {args.data}", most=WORST)
        shows = f"photo, truth, prediction of the worst {len(result.scores.worst)}"
        print(f"{out / TABLE}, {out / SUMMARY}, {out / SHEET} ({shows})")
    return 3 if result.not_measured else 0
