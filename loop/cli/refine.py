"""`stylematte refine PICTURE|FOLDER -o OUT`: alphas or cut-outs -> the same without haze, specks and false holes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.console import left_out_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", type=Path, help="a picture, or a folder: grey alphas, or RGBA cut-outs")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for NAME.png, index.jsonl and sheet.png")
    parser.add_argument("--keep-refused", action="store_true", help="write pictures that break a rule, too")
    parser.add_argument("--json", action="store_true", help="list figures and verdicts, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.data.refine_files import SHEET, refine_folder

    done = refine_folder(args.pictures, args.out, keep_refused=args.keep_refused, track=bar("refining"))
    if args.json:
        left_out = [{"picture": str(path), "reason": reason} for path, reason in done.left_out]
        print(json.dumps({"done": [each.row() for each in done.done], "left_out": left_out}, indent=2))
        return 0
    refused = ", ".join(f"{count} {rule}" for rule, count in done.refused().items())
    line = (
        f"{done.written} of {len(done.done)} alphas written to {args.out}{f' (refused: {refused})' if refused else ''}"
    )
    print(f"{line}; {args.out / SHEET} shows what changed most{left_out_line(done.left_out)}")
    return 0
