"""A matter measured on a data set: inference and scoring of every wanted picture, going on where it was stopped.

OUT/rows.jsonl         a line for each finished picture: what the same call does not do again
OUT/per_picture.csv    the figures, worst first
OUT/summary.json       means, intervals, what was asked
OUT/worst.png          photo, truth and prediction of the worst
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylematte.atomic import replace_file
from stylematte.data.released import ALL, Example, read_released
from stylematte.errors import ConfigError, DataError
from stylematte.evaluate.pictures import KeptRows, Question, matted, matter_digest, measure, prepare, row_key, start
from stylematte.evaluate.table import Scores
from stylematte.imagefile import write_rgb
from stylematte.inference.matter import matter_folder, native_side, trained_at
from stylematte.inference.options import AskedOptions
from stylematte.metrics import PROTOCOL
from stylematte.networks.weights import read_network_config
from stylematte.sheets import contact_sheet, thumbnail
from stylematte.workers import spread

log = logging.getLogger("stylematte")

ROWS, TABLE, SUMMARY, SHEET = "rows.jsonl", "per_picture.csv", "summary.json", "worst.png"


@dataclass(frozen=True)
class Evaluation:
    """scores of what could be measured; not_measured: a line for each picture that could not."""

    about: dict[str, Any]
    """matter, digest, data, protocol, seen (how the network sees a photo) and trimap."""
    scores: Scores
    not_measured: list[str]
    out: Path

    def to_json(self) -> dict[str, Any]:
        return {**self.about, **vars(self.scores), "not_measured": self.not_measured}


def evaluate(
    matter: Path,
    data: Path,
    out: Path,
    *,
    layout: str = "auto",
    splits: Sequence[str] = (),
    subjects: Sequence[str] = (),
    kinds: Sequence[str] = ("alpha",),
    only: Collection[Path] | None = None,
    asked: AskedOptions = AskedOptions(),  # noqa: B008 - it cannot be changed
    trimap: str | None = None,
    workers: int = 1,
    device: str = "auto",
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Evaluation:
    """Measure the matter of a run, an export or a matter folder on the data set unpacked at `data`; write `out`.

    layout: one of stylematte.data.released.NAMES. splits: only these (none: all but train; "all": every one). subjects,
    kinds: only these. only: of the pictures with these resolved paths, whatever their split is called. asked: how
    photos are shown. trimap: None; "data" for the data set's own; or a number as text: made of the truth, unknown
    within so many pixels of its soft edge. Raises ConfigError, DataError, WeightsError.
    """
    asked.check()
    question = _question(matter_folder(matter), asked, trimap)
    if workers < 1:
        raise ConfigError(f"--workers {workers}: must be at least 1")
    examples = _examples(data, layout, splits, subjects, kinds, trimap, only)
    kept, digest = KeptRows(out / ROWS), matter_digest(question.matter)
    keys, problems = _keys(digest, question, examples)
    due = [example for example in examples if example.id in keys and keys[example.id] not in kept.rows]
    if len(due) < len(keys):
        log.warning("%d of %d pictures were measured before", len(keys) - len(due), len(keys))
    if due:
        prepare(question, device)  # fails here, in one line, before anything is written
    threads = max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0
    for example, measured in track(spread(measure, due, workers, start, (question, device, threads))):
        if measured.scores is None:
            problems.append(measured.problem)
        else:
            kept.add(keys[example.id], example.id, measured.scores)
    rows = {id_: kept.rows[key] for id_, key in keys.items() if key in kept.rows}
    _complain(problems, len(rows), len(examples))
    about = {"matter": str(question.matter), "digest": digest, "data": str(data), "protocol": PROTOCOL}
    about |= {"seen": question.options._asdict(), "trimap": question.trimap}
    result = Evaluation(about, Scores.of(rows), problems, out)
    _write(result, question, device, {example.id: example for example in examples})
    return result


def _question(folder: Path, asked: AskedOptions, trimap: str | None) -> Question:
    network = read_network_config(folder)
    radius: str | float | None = trimap
    if trimap is not None and not network.takes_trimap:
        raise ConfigError(f"--trimap: {folder} is of variant {network.variant}, which sees none")
    if trimap not in (None, "data"):
        try:
            radius = float(str(trimap))
        except ValueError:
            radius = -1.0
        if not 1 <= radius <= 1000:
            raise ConfigError(f"--trimap {trimap}: expected 'data', or a radius from 1 to 1000 pixels")
    return Question(folder, asked.options(network, trained_at(folder), native_side(folder)), radius)


def _examples(
    data: Path,
    layout: str,
    splits: Sequence[str],
    subjects: Sequence[str],
    kinds: Sequence[str],
    trimap: str | None,
    only: Collection[Path] | None = None,
) -> list[Example]:
    released = read_released(data, layout)
    there = {example.split for example in released.examples}
    wanted = (
        there if ALL in splits or (only is not None and not splits) else set(splits) or (there - {"train"} or there)
    )
    examples = [
        example
        for example in released.examples
        if example.kind in kinds and example.split in wanted and (not subjects or example.subject in subjects)
    ]
    if only is not None:
        examples = [example for example in examples if example.image.resolve() in only]
    if not examples:
        has = ", ".join(sorted({f"{each.subject}/{each.kind}/{each.split}" for each in released.examples}))
        raise DataError(f"{data}: no picture of what was asked for; it has (subject/kind/split): {has}")
    without = [example.image for example in examples if example.alpha is None]
    if without:
        raise DataError(
            f"{without[0]}: has no alpha to measure against ({len(without)} such); do `stylematte data check`"
        )
    return _with_trimaps(examples, trimap)


def _with_trimaps(examples: list[Example], trimap: str | None) -> list[Example]:
    """The examples, their trimaps forgotten unless all have one: figures of different kinds have no mean."""
    some = sum(example.trimap is not None for example in examples)
    if some == len(examples):
        return examples
    if trimap == "data":
        missing = next(example.image for example in examples if example.trimap is None)
        raise DataError(
            f"--trimap data: {len(examples) - some} of {len(examples)} pictures have none, for example {missing}; "
            "give a radius in pixels to make them of the truth"
        )
    if some:
        log.warning("only %d of %d pictures have a trimap; none is used", some, len(examples))
    return [example._replace(trimap=None) for example in examples]


def _keys(digest: str, question: Question, examples: Sequence[Example]) -> tuple[dict[str, str], list[str]]:
    """id -> what a kept row of that picture is valid for, and a line for each picture that cannot be read."""
    keys, problems = {}, []
    for example in examples:
        try:
            keys[example.id] = row_key(digest, question, example)
        except OSError as error:
            problems.append(f"{error.filename}: cannot be read ({error.strerror})")
    return keys, problems


def _complain(problems: Sequence[str], measured: int, examples: int) -> None:
    if not measured and len(problems) == 1:
        raise DataError(problems[0])
    for problem in problems:
        log.warning("not measured: %s", problem)
    if not measured:
        raise DataError(f"none of {examples} pictures could be measured")


def _write(result: Evaluation, question: Question, device: str, examples: dict[str, Example]) -> None:
    out = result.out
    if not _is_drawn(out, result.to_json()):
        _draw(out / SHEET, question, device, [examples[id_] for id_ in result.scores.worst])
    result.scores.write_csv(out / TABLE)
    replace_file(out / SUMMARY, json.dumps(result.to_json(), indent=2) + "\n")


def _is_drawn(out: Path, result: dict[str, Any]) -> bool:
    """Whether the sheet that lies there shows these pictures by this matter."""
    try:
        before = json.loads((out / SUMMARY).read_text())
    except (OSError, ValueError):
        return False
    same = all(before.get(key) == result[key] for key in ("digest", "seen", "trimap", "data", "worst"))
    return same and (out / SHEET).is_file()


def _draw(path: Path, question: Question, device: str, worst: Sequence[Example]) -> None:
    """Photo, truth and prediction of each, two pictures a line."""
    prepare(question, device)
    shown = []
    for example in worst:
        image, truth, _, alpha = matted(example)
        shown += [thumbnail(each, 240) for each in (image, truth, alpha)]
    write_rgb(path, contact_sheet(shown, 6))
