"""`stylematte evaluate MATTER [--data DIR]`: inference and scoring of a matter on a data set.

Of the pictures that a run was made of, its held-out ones alone are measured, unless --split all says otherwise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.inference_options import add_inference_options, asked_options
from loop.runs.heldout import Split, split_of
from loop.runs.verify import sound


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("matter", type=Path, help="a run, an export, or a matter folder")
    parser.add_argument(
        "--data",
        type=Path,
        help="a released data set, image/ + alpha/, or manifest.csv (default: the run's own, of which its held-out "
        "pictures are measured)",
    )
    parser.add_argument("-o", "--out", type=Path, help="folder for the results (default: evaluations/NAME OF DATA)")
    parser.add_argument("--layout", default="auto", help="how the data lies on disk (default: found by its folders)")
    parser.add_argument(
        "--split",
        action="append",
        help="only this split; may be repeated (default: what was held out); all = training pictures, too",
    )
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

    split = split_of(args.matter, args.data)
    data = args.data or (split.root if split else args.data)
    out = args.out or Path("evaluations") / data.resolve().name
    sound(matter_folder(args.matter))
    everything = "all" in (args.split or ())
    result = evaluate(
        args.matter,
        data,
        out,
        only=split.heldout if split and not everything else None,
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
        print_table(result.scores, f"{result.about['matter']} on {_pictures(split, everything)}{data}", most=WORST)
        shows = f"photo, truth, prediction of the worst {len(result.scores.worst)}"
        print(f"{out / TABLE}, {out / SUMMARY}, {out / SHEET} ({shows})")
    return 3 if result.not_measured else 0


def _pictures(split: Split | None, everything: bool) -> str:
    """What the table's title says of the pictures where the run knows them."""
    if split is None:
        return ""
    if everything:
        return f"ALL pictures of (WARNING: {len(split.trained)} of them trained it, so the mean flatters) "
    return "the held-out pictures of "
