"""Checking a data set where it lies: every file opened, every pair compared, one photo in two splits found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from stylematte.data.near_duplicates import Print, fingerprint, near_duplicates
from stylematte.data.released import Example, read_released
from stylematte.errors import BadPicture
from stylematte.imagefile import read_alpha, read_rgb, read_trimap
from stylematte.workers import spread

NEEDS_ALPHA = ("alpha", "pseudo-alpha", "mask", "foreground")
NO_SUBJECT = 0.05
"""An alpha that never exceeds this shows no subject."""


class Checked(NamedTuple):
    """What `check` found. groups: a row per split, subject and kind; problems: (kind of problem, one line); twins: ids
    of the same photo twice within a split."""

    layout: str
    groups: list[dict[str, Any]]
    problems: list[tuple[str, str]]
    twins: list[tuple[str, str]]


class Examined(NamedTuple):
    """One example after opening its files: (height, width) and its print if the picture could be read, and what is
    wrong, as (kind of problem, one line) each."""

    example: Example
    size: tuple[int, int] | None
    print: Print | None
    problems: list[tuple[str, str]]


def check(
    folder: Path, layout: str = "auto", workers: int = 1, track: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Checked:
    """Check the data set unpacked in `folder`. layout: one of stylematte.data.released.NAMES. Raises DataError."""
    released = read_released(folder, layout)
    done = {each.example.id: each for _, each in track(spread(examine, released.examples, workers))}
    examined = [done[example.id] for example in released.examples]
    found = find_near_duplicates(examined)
    problems = [problem for each in examined for problem in each.problems]
    problems += [("orphan", f"{path}: no picture of that name") for path in released.orphans]
    problems += [("leak", f"{one} and {other} show the same photo in two splits") for one, other in found.leaks]
    return Checked(released.layout, summary(examined), problems, found.twins)


def examine(example: Example) -> Examined:
    """Open the files of one example."""
    problems: list[tuple[str, str]] = []
    try:
        image = read_rgb(example.image)
    except BadPicture as error:
        return Examined(example, None, None, [("unreadable", str(error))])
    size = (image.shape[1], image.shape[2])
    for path, read in ((example.alpha, read_alpha), (example.trimap, read_trimap)):
        if path is None:
            continue
        try:
            other = read(path)
        except BadPicture as error:
            problems.append(("unreadable", str(error)))
            continue
        if tuple(other.shape[1:]) != size:
            shapes = f"is {other.shape[2]} x {other.shape[1]}, its picture {size[1]} x {size[0]}"
            problems.append(("mismatched", f"{path}: {shapes}"))
        elif read is read_alpha and other.max() < NO_SUBJECT:
            problems.append(("empty", f"{path}: is 0 everywhere, it shows no subject"))
    if example.alpha is None and example.kind in NEEDS_ALPHA:
        problems.append(("missing", f"{example.image}: no alpha of that name"))
    return Examined(example, size, fingerprint(image), problems)


class NearDuplicates(NamedTuple):
    """Pairs of ids that show the same photo: leaks in different splits, twins within one."""

    leaks: list[tuple[str, str]]
    twins: list[tuple[str, str]]


def find_near_duplicates(examined: Iterable[Examined]) -> NearDuplicates:
    known = [each for each in examined if each.print is not None]
    pairs = near_duplicates([each.print for each in known if each.print is not None])
    found = NearDuplicates([], [])
    for i, j in pairs:
        one, other = known[i].example, known[j].example
        (found.twins if one.split == other.split else found.leaks).append((one.id, other.id))
    return found


def summary(examined: Sequence[Examined]) -> list[dict[str, Any]]:
    """One row per split, subject and kind: how many pictures, alphas and trimaps, and their sizes (longest side)."""
    groups: dict[tuple[str, str, str], list[Examined]] = {}
    for each in examined:
        groups.setdefault((each.example.split, each.example.subject, each.example.kind), []).append(each)
    rows = []
    for (split, subject, kind), members in groups.items():
        sides = sorted(max(each.size) for each in members if each.size) or [0]
        rows.append(
            {
                "split": split,
                "subject": subject,
                "kind": kind,
                "pictures": len(members),
                "alphas": sum(each.example.alpha is not None for each in members),
                "trimaps": sum(each.example.trimap is not None for each in members),
                "smallest": sides[0],
                "median": int(median(sides)),
                "largest": sides[-1],
                "megapixels": round(sum(each.size[0] * each.size[1] for each in members if each.size) / 1e6, 1),
            }
        )
    return rows
