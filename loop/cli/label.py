"""stylematte label FOLDER --method closed-form --trimaps FOLDER -o OUT"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loop.cli.photos import left_out_line, photos_in, shown, thumbnail
from loop.cli.score import PICTURES
from loop.cli.spread import spread
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    from stylematte.data.labelling import Job

    Outcome = tuple[str | None, str | None]

METHODS = ("closed-form",)
SHEET = "sheet.png"
SHEET_MOST = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="how alpha is found (closed-form)")
    parser.add_argument("--trimaps", type=Path, required=True, help="a folder with NAME.png for each photo NAME")
    parser.add_argument("-o", "--out", type=Path, required=True, help="becomes a data root; the same command resumes")
    parser.add_argument("--subject", help="what the photos show, as data.domains names it (default: the folder's name)")
    parser.add_argument("--workers", type=int, help="processes (default: one per CPU core)")
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    workers = os.cpu_count() or 1 if args.workers is None else args.workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: expected at least 1")
    subject = args.subject or (args.photos if args.photos.is_dir() else args.photos.parent).resolve().name
    if Path(subject).name != subject or subject.startswith("."):
        raise ConfigError(f"--subject {subject}: expected a word like portrait, it names a folder below {args.out}")
    pairs, left_out = _pairs(photos_in(args.photos), args.trimaps)
    from stylematte.data.labelling import Job, attempt, check_manifest, write_manifest

    check_manifest(args.out)
    jobs = [Job(photo, trimap, args.out, subject) for photo, trimap in pairs]
    done: dict[Job, str] = {}
    for job, (state, reason) in shown(spread(attempt, jobs, workers, _start, os.getpid()), "solving mattes", len(jobs)):
        if state:
            done[job] = state
        else:
            left_out.append({"photo": str(job.photo), "reason": str(reason)})
            print(f"stylematte: left out {reason}", file=sys.stderr)
    finished = [job for job in jobs if job in done]
    if not finished:
        raise DataError(f"{args.photos}: none of {len(jobs)} mattes could be solved")
    write_manifest(args.out, finished)
    _write_sheet(args.out / SHEET, finished[:SHEET_MOST])
    rows = [{"photo": str(job.photo), "alpha": str(job.target("alpha")), "state": done[job]} for job in finished]
    if args.json:
        print(json.dumps({"root": str(args.out), "subject": subject, "done": rows, "left_out": left_out}, indent=2))
        return 0
    there = sum(state != "written" for state in done.values())
    print(
        f"{len(finished)} mattes of '{subject}' in {args.out} ({there} were there already), "
        f"shown on {args.out / SHEET}{left_out_line(left_out)}"
    )
    return 0


def _pairs(photos: Sequence[Path], trimaps: Path) -> tuple[list[tuple[Path, Path]], list[dict[str, str]]]:
    if not trimaps.is_dir():
        raise DataError(f"{trimaps}: no such folder; `stylematte trimap` makes one")
    found = {file.stem: file for file in sorted(trimaps.iterdir()) if file.suffix.lower() in PICTURES}
    pairs = [(photo, found[photo.stem]) for photo in photos if photo.stem in found]
    missing = [photo for photo in photos if photo.stem not in found]
    if not pairs:
        raise DataError(f"{trimaps}: no trimap called {photos[0].stem}.png, or like any other of the photos")
    if missing:
        print(f"stylematte: {len(missing)} photos have no trimap, for example {missing[0].name}", file=sys.stderr)
    return pairs, [{"photo": str(photo), "reason": f"no {photo.stem}.png in {trimaps}"} for photo in missing]


def _start(parent: int) -> None:
    """In a worker: threads of several would only wait for each other."""
    if os.getpid() != parent:
        import torch

        torch.set_num_threads(1)


def _write_sheet(path: Path, jobs: Sequence[Job]) -> None:
    """A row per picture: photo, trimap, alpha, and the subject on a checkerboard."""
    import torch

    from stylematte.imagefile import contact_sheet, read_alpha, read_rgb, read_trimap, write_rgb

    strip = []
    for job in jobs:
        photo, alpha = read_rgb(job.photo), read_alpha(job.target("alpha"))
        row = photo, read_trimap(job.target("trimap")), alpha, torch.cat([photo, alpha])
        strip += [thumbnail(picture) for picture in row]
    write_rgb(path, contact_sheet(strip, columns=8 if len(jobs) > 3 else 4))
