"""stylematte evaluate MATTER --data DIR"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.commands import score_table

if TYPE_CHECKING:
    from stylematte.data.released import Example

WORST = 8
ROWS, TABLE, SUMMARY, SHEET = "rows.jsonl", "per_picture.csv", "summary.json", "worst.png"


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
    parser.add_argument(
        "--size", type=int, help="longest side the network sees; 0: the picture's own (default: trained)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from loop.commands.photos import matter_folder, shown
    from loop.commands.spread import spread

    folder = matter_folder(args.matter)
    examples = _examples(args)
    out = args.out or Path("evaluations") / args.data.resolve().name
    from loop.evaluation import KeptRows, matter, matter_digest, measure, row_key, start

    kept, digest = KeptRows(out / ROWS), matter_digest(folder)
    keys, problems = {}, []
    for example in examples:
        try:
            keys[example.id] = row_key(digest, args.size, example)
        except OSError as error:
            problems.append(f"{error.filename}: cannot be read ({error.strerror})")
    due = [example for example in examples if example.id in keys and keys[example.id] not in kept.rows]
    if len(due) < len(keys):
        print(f"stylematte: {len(keys) - len(due)} of {len(keys)} pictures were measured before", file=sys.stderr)
    given = (folder, args.size, args.device, max(1, (os.cpu_count() or 1) // args.workers) if args.workers > 1 else 0)
    if due:
        matter(*given[:3])  # fails here, in one line, before anything is written
    out.mkdir(parents=True, exist_ok=True)
    work = spread(measure, due, args.workers, start, *given) if due else iter(())
    for example, measured in shown(work, "evaluating", len(due)):
        if measured.scores is None:
            problems.append(measured.problem)
        else:
            kept.add(keys[example.id], example.id, measured.scores)
    rows = {id_: kept.rows[key] for id_, key in keys.items() if key in kept.rows}
    return _finish(args, out, folder, digest, examples, rows, problems)


def _finish(
    args: argparse.Namespace,
    out: Path,
    folder: Path,
    digest: str,
    examples: list[Example],
    rows: score_table.Rows,
    problems: list[str],
) -> int:
    from stylematte.metrics import PROTOCOL

    for problem in problems:
        print(f"stylematte: not measured: {problem}", file=sys.stderr)
    if not rows:
        print(f"stylematte: none of {len(examples)} pictures could be measured", file=sys.stderr)
        return 3
    about = {"matter": str(folder), "digest": digest, "data": str(args.data), "protocol": PROTOCOL, "size": args.size}
    result = {**about, **score_table.told(rows), "not_measured": problems}
    by_id = {example.id: example for example in examples}
    worst = [by_id[id_] for id_ in result["worst"]]
    if not _drawn(out, result):
        _draw(out / SHEET, args, folder, worst)
    score_table.write_csv(out / TABLE, rows)
    score_table.write_whole(out / SUMMARY, json.dumps(result, indent=2) + "\n")
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        score_table.print_table(result, f"{folder} on {args.data}", most=WORST)
        print(f"{out / TABLE}, {out / SUMMARY}, {out / SHEET} (photo, truth, prediction of the worst {len(worst)})")
    return 3 if problems else 0


def _examples(args: argparse.Namespace) -> list[Example]:
    from stylematte.data.manifest import DataError
    from stylematte.data.released import read_released

    if args.workers < 1 or (args.size is not None and args.size < 0):
        raise DataError(f"--workers {args.workers} and --size {args.size}: expected at least 1, and 0 or more")
    released = read_released(args.data, args.layout)
    kinds = args.kind or ["alpha"]
    splits = {example.split for example in released.examples}
    wanted = set(args.split or ()) or (splits - {"train"} or splits)
    examples = [
        example
        for example in released.examples
        if example.kind in kinds and example.split in wanted and example.subject in (args.subject or [example.subject])
    ]
    if not examples:
        there = sorted({f"{each.subject}/{each.kind}/{each.split}" for each in released.examples})
        raise DataError(
            f"{args.data}: no picture of what was asked for; it has (subject/kind/split): {', '.join(there)}"
        )
    without = [example.image for example in examples if example.alpha is None]
    if without:
        raise DataError(
            f"{without[0]}: has no alpha to measure against ({len(without)} such); do `stylematte data check`"
        )
    if all(example.trimap for example in examples):
        return examples
    some = sum(example.trimap is not None for example in examples)
    if some:
        print(f"stylematte: only {some} of {len(examples)} pictures have a trimap; none is used", file=sys.stderr)
    return [example._replace(trimap=None) for example in examples]


def _drawn(out: Path, result: dict[str, Any]) -> bool:
    """Whether the sheet that lies there shows these pictures by this matter."""
    try:
        before = json.loads((out / SUMMARY).read_text())
    except (OSError, ValueError):
        return False
    same = all(before.get(key) == result[key] for key in ("digest", "size", "data", "worst"))
    return same and (out / SHEET).is_file()


def _draw(path: Path, args: argparse.Namespace, folder: Path, worst: list[Example]) -> None:
    """Photo, truth and prediction of each, two pictures a line."""
    from loop.commands.photos import thumbnail
    from loop.evaluation import matter
    from stylematte.imagefile import contact_sheet, read_alpha, read_rgb, write_rgb

    network = matter(folder, args.size, args.device)
    shown = []
    for example in worst:
        assert example.alpha is not None
        image = read_rgb(example.image)
        shown += [thumbnail(each, 240) for each in (image, read_alpha(example.alpha), network.alpha(image))]
    write_rgb(path, contact_sheet(shown, 6))
