"""`stylematte data check DIR`: counts, sizes, broken or mismatched files, one photo in two splits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from loop.cli.bars import bar

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    check = verbs.add_parser("check", help="open every file, compare every pair, look for one photo in two splits")
    check.add_argument("folder", type=Path, help="a released data set, image/ + alpha/, or a folder with manifest.csv")
    check.add_argument("--layout", default="auto", help="how the data lies on disk (default: found by its folders)")
    check.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    check.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from stylematte.data.check import check

    checked = check(args.folder, args.layout, args.workers, track=bar("checking"))
    result = {
        "folder": str(args.folder),
        "layout": checked.layout,
        "groups": checked.groups,
        "problems": [{"kind": kind, "what": what} for kind, what in checked.problems],
        "twins": checked.twins,
    }
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        _print(result)
    return 3 if checked.problems else 0


def _print(result: dict[str, Any]) -> None:
    from collections import Counter

    from rich.table import Table

    from loop.cli.console import wide_console

    console = wide_console()
    table = Table(*result["groups"][0], title=f"{result['folder']}: {result['layout']}")
    for row in result["groups"]:
        table.add_row(*(str(cell) for cell in row.values()))
    console.print(table)
    for kind, count in Counter(problem["kind"] for problem in result["problems"]).items():
        lines = [problem["what"] for problem in result["problems"] if problem["kind"] == kind]
        print(f"{kind}: {count}")
        print("".join(f"  {line}\n" for line in lines[:SHOWN]), end="")
        if count > SHOWN:
            print(f"  … {count - SHOWN} more (--json lists all)")
    if result["twins"]:
        one, other = result["twins"][0]
        print(f"the same photo twice within a split: {len(result['twins'])}, for example {one} and {other}")
    print("nothing is wrong" if not result["problems"] else f"{len(result['problems'])} things are wrong")
