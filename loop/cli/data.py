"""`stylematte data check DIR|CONFIG`: what is wrong with a data set, or what a run will read; `data manifest DIR`."""

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
    check.add_argument(
        "folder",
        type=Path,
        help="a released data set, image/ + alpha/, or manifest.csv; or a YAML file: what `run` will read",
    )
    check.add_argument("overrides", nargs="*", metavar="key=value", help="of a YAML file")
    check.add_argument("--layout", default="auto", help="how the data lies on disk (default: found by its folders)")
    check.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    check.add_argument("--json", action="store_true", help="machine-readable output")
    manifest = verbs.add_parser("manifest", help="write manifest.csv of a data set in any layout, official splits kept")
    manifest.add_argument("folder", type=Path, help="the folder it was unpacked in")
    manifest.add_argument("-o", "--out", type=Path, help="(default: FOLDER/manifest.csv); nothing is overwritten")
    manifest.add_argument("--layout", default="auto", help="how the data lies on disk (default: found by its folders)")
    manifest.add_argument("--subject", help="what the pictures show (default: as the layout says)")
    manifest.add_argument("--kind", help="of the pictures (default: as the layout says)")


def main(args: argparse.Namespace) -> int:
    if args.what == "manifest":
        return _manifest(args)
    if args.folder.is_file():
        return _will_read(args)
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


def _will_read(args: argparse.Namespace) -> int:
    from loop.config.found import found
    from loop.config.load import load_config

    seen = found(load_config(args.folder, args.overrides))
    if args.json:
        groups = [{"domain": d, "kind": k, "split": s, "pictures": n} for (d, k, s), n in sorted(seen.groups.items())]
        print(json.dumps({"roots": seen.roots, "groups": groups, "problems": seen.problems}, indent=2))
    else:
        print("\n".join(seen.lines() or ["drawn by code"]))
        print("".join(f"`run` could not start: {line}\n" for line in seen.problems), end="")
    return 3 if seen.problems else 0


def _manifest(args: argparse.Namespace) -> int:
    import csv

    from stylematte.data.manifest import KINDS
    from stylematte.data.roots import manifest_rows
    from stylematte.errors import ConfigError

    out = args.out or args.folder / "manifest.csv"
    if out.exists():
        raise ConfigError(f"{out} exists: nothing is overwritten; move it away, or give another file with -o")
    if args.kind is not None and args.kind not in KINDS:
        raise ConfigError(f"--kind {args.kind}: expected one of {', '.join(KINDS)}")
    rows = manifest_rows(args.folder, args.layout)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["file", "alpha", "trimap", "subject", "kind", "split"])
        for row in rows:
            subject, kind = args.subject or row.subject, args.kind or row.kind
            writer.writerow([row.file, row.alpha or "", row.trimap or "", subject, kind, row.split])
    print(f"{len(rows)} rows in {out}")
    return 0


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
