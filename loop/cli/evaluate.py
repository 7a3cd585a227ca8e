"""stylematte evaluate MATTER --data DIR"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli import score_table
from loop.cli.inference_options import BadOption, add_inference_options, check_inference_options, inference_options

if TYPE_CHECKING:
    from stylematte.data.released import Example
    from stylematte.evaluate.pictures import Question

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
    add_inference_options(parser)
    parser.add_argument(
        "--trimap",
        help="variant detail sees one, too: 'data' for the data set's own, or a number to make it of the truth, "
        "unknown within so many pixels of the soft edge. Known pixels are set in the alpha, as trimap matting has it",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from loop.cli.photos import matter_folder, shown
    from loop.cli.spread import spread

    check_inference_options(args)
    question = _question(args, matter_folder(args.matter))
    examples = _examples(args)
    out = args.out or Path("evaluations") / args.data.resolve().name
    from stylematte.evaluate.pictures import KeptRows, load, matter_digest, measure, row_key, start

    kept, digest = KeptRows(out / ROWS), matter_digest(question.matter)
    keys, problems = {}, []
    for example in examples:
        try:
            keys[example.id] = row_key(digest, question, example)
        except OSError as error:
            problems.append(f"{error.filename}: cannot be read ({error.strerror})")
    due = [example for example in examples if example.id in keys and keys[example.id] not in kept.rows]
    if len(due) < len(keys):
        print(f"stylematte: {len(keys) - len(due)} of {len(keys)} pictures were measured before", file=sys.stderr)
    threads = max(1, (os.cpu_count() or 1) // args.workers) if args.workers > 1 else 0
    if due:
        load(question, args.device)  # fails here, in one line, before anything is written
    work = spread(measure, due, args.workers, start, question, args.device, threads) if due else iter(())
    for example, measured in shown(work, "evaluating", len(due)):
        if measured.scores is None:
            problems.append(measured.problem)
        else:
            kept.add(keys[example.id], example.id, measured.scores)
    rows = {id_: kept.rows[key] for id_, key in keys.items() if key in kept.rows}
    return _finish(args, out, question, digest, examples, rows, problems)


def _question(args: argparse.Namespace, folder: Path) -> Question:
    from stylematte.evaluate.pictures import Question
    from stylematte.inference.predict import trained_at
    from stylematte.networks.weights import read_network_config

    network = read_network_config(folder)
    trimap = args.trimap
    if trimap is not None and not network.takes_trimap:
        raise BadOption(f"--trimap: {folder} is of variant {network.variant}, which sees none")
    if trimap not in (None, "data"):
        try:
            trimap = float(trimap)
        except ValueError:
            trimap = -1.0
        if not 1 <= trimap <= 1000:
            raise BadOption(f"--trimap {args.trimap}: expected 'data', or a radius from 1 to 1000 pixels")
    return Question(folder, inference_options(args, network, trained_at(folder)), trimap)


def _finish(
    args: argparse.Namespace,
    out: Path,
    question: Question,
    digest: str,
    examples: list[Example],
    rows: score_table.Rows,
    problems: list[str],
) -> int:
    from stylematte.data.manifest import DataError
    from stylematte.metrics import PROTOCOL

    if not rows and len(problems) == 1:
        raise DataError(problems[0])
    for problem in problems:
        print(f"stylematte: not measured: {problem}", file=sys.stderr)
    if not rows:
        raise DataError(f"none of {len(examples)} pictures could be measured")
    about: dict[str, Any] = {
        "matter": str(question.matter),
        "digest": digest,
        "data": str(args.data),
        "protocol": PROTOCOL,
    }
    about |= {"seen": question.options._asdict(), "trimap": question.trimap}
    result = {**about, **score_table.told(rows), "not_measured": problems}
    by_id = {example.id: example for example in examples}
    worst = [by_id[id_] for id_ in result["worst"]]
    if not _drawn(out, result):
        _draw(out / SHEET, question, args.device, worst)
    score_table.write_csv(out / TABLE, rows)
    score_table.write_whole(out / SUMMARY, json.dumps(result, indent=2) + "\n")
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        score_table.print_table(result, f"{question.matter} on {args.data}", most=WORST)
        print(f"{out / TABLE}, {out / SUMMARY}, {out / SHEET} (photo, truth, prediction of the worst {len(worst)})")
    return 3 if problems else 0


def _examples(args: argparse.Namespace) -> list[Example]:
    from stylematte.data.manifest import DataError
    from stylematte.data.released import read_released

    if args.workers < 1:
        raise BadOption(f"--workers {args.workers}: must be at least 1")
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
    some = sum(example.trimap is not None for example in examples)
    if some == len(examples):
        return examples
    if args.trimap == "data":
        missing = next(example.image for example in examples if example.trimap is None)
        raise DataError(
            f"--trimap data: {len(examples) - some} of {len(examples)} pictures have none, for example {missing}; "
            "give a radius in pixels to make them of the truth"
        )
    if some:
        print(f"stylematte: only {some} of {len(examples)} pictures have a trimap; none is used", file=sys.stderr)
    return [example._replace(trimap=None) for example in examples]


def _drawn(out: Path, result: dict[str, Any]) -> bool:
    """Whether the sheet that lies there shows these pictures by this matter."""
    try:
        before = json.loads((out / SUMMARY).read_text())
    except (OSError, ValueError):
        return False
    same = all(before.get(key) == result[key] for key in ("digest", "seen", "trimap", "data", "worst"))
    return same and (out / SHEET).is_file()


def _draw(path: Path, question: Question, device: str, worst: list[Example]) -> None:
    """Photo, truth and prediction of each, two pictures a line."""
    from loop.cli.photos import thumbnail
    from stylematte.evaluate.pictures import load, matted
    from stylematte.imagefile import contact_sheet, write_rgb

    load(question, device)
    shown = []
    for example in worst:
        image, truth, _, alpha = matted(example)
        shown += [thumbnail(each, 240) for each in (image, truth, alpha)]
    write_rgb(path, contact_sheet(shown, 6))
