"""`stylematte label FOLDER --trimaps FOLDER -o OUT`: photos and trimaps -> pseudo-alpha, as a data root."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.console import left_out_line

METHODS = ("closed-form",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="how alpha is found (closed-form)")
    parser.add_argument("--trimaps", type=Path, required=True, help="a folder with NAME.png for each photo NAME")
    parser.add_argument("-o", "--out", type=Path, required=True, help="becomes a data root; the same command resumes")
    parser.add_argument("--subject", help="what the photos show, as data.domains names it (default: the folder's name)")
    parser.add_argument("--workers", type=int, help="processes (default: one per CPU core)")
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    from stylematte.data.labelling import SHEET, WRITTEN, label_folder

    result = label_folder(
        args.photos, args.trimaps, args.out, subject=args.subject, workers=args.workers, track=bar("solving mattes")
    )
    if args.json:
        done = [
            {"photo": str(job.photo), "alpha": str(job.target("alpha")), "state": state}
            for job, state in result.done.items()
        ]
        left_out = [{"photo": str(path), "reason": reason} for path, reason in result.left_out]
        about = {"root": str(args.out), "subject": result.subject}
        print(json.dumps({**about, "done": done, "left_out": left_out}, indent=2))
        return 0
    there = sum(state != WRITTEN for state in result.done.values())
    print(
        f"{len(result.done)} mattes of '{result.subject}' in {args.out} ({there} were there already), "
        f"shown on {args.out / SHEET}{left_out_line(result.left_out)}"
    )
    return 0
