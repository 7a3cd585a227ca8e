"""Labelling photos without learning: alphas solved in closed form of photos and trimaps, as a data root.

    OUT/manifest.csv            what data.root reads; rows of earlier runs stay
    OUT/SUBJECT/image/NAME.jpg  the photo, byte for byte
    OUT/SUBJECT/trimap/NAME.png
    OUT/SUBJECT/alpha/NAME.png

Every file is written under another name first and then renamed, the alpha last: an alpha that is there, and no older
than its photo and trimap, is finished work and is not done again.
"""

from __future__ import annotations

import csv
import filecmp
import io
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from stylematte.atomic import replace_file
from stylematte.data.manifest import COLUMNS, read_manifest
from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, write_alpha, write_rgb, write_trimap
from stylematte.inference.photos import LeftOut, photos_in, pictures_in
from stylematte.ops.closed_form import closed_form_alpha
from stylematte.sheets import contact_sheet, thumbnail
from stylematte.trimap import problem
from stylematte.workers import spread

log = logging.getLogger("stylematte")

MANIFEST, SHEET, SHEET_MOST = "manifest.csv", "sheet.png", 12
WRITTEN, FINISHED = "written", "already there"


class Labelled(NamedTuple):
    """What `label_folder` has done: finished jobs with WRITTEN or FINISHED, and the photos that were left out."""

    subject: str
    done: dict[Job, str]
    left_out: list[LeftOut]


class Job(NamedTuple):
    """One photo and its trimap, and the data root they go to."""

    photo: Path
    trimap: Path
    root: Path
    subject: str

    def row(self) -> dict[str, str]:
        """The manifest's row; its paths are relative to the root."""
        files = {"file": f"image/{self.photo.name}"}
        files |= {kind: f"{kind}/{self.photo.stem}.png" for kind in ("alpha", "trimap")}
        paths = {column: f"{self.subject}/{file}" for column, file in files.items()}
        return {
            **paths,
            "subject": self.subject,
            "kind": "pseudo-alpha",
            "note": "closed-form alpha",
        }

    def target(self, column: str) -> Path:
        return self.root / self.row()[column]


def label_folder(
    photos: Path,
    trimaps: Path,
    out: Path,
    *,
    subject: str | None = None,
    workers: int | None = None,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Labelled:
    """Solve the matte of each photo in a folder that has NAME.png in `trimaps`; `out` becomes a data root.

    subject: what the photos show, as data.domains names it (None: the folder's name). workers: processes (None: one
    per CPU core). The same call resumes. Raises ConfigError, and DataError if nothing could be solved.
    """
    workers = os.cpu_count() or 1 if workers is None else workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: expected at least 1")
    subject = subject or (photos if photos.is_dir() else photos.parent).resolve().name
    if Path(subject).name != subject or subject.startswith("."):
        raise ConfigError(f"--subject {subject}: expected a word like portrait, it names a folder below {out}")
    pairs, left_out = _pairs(photos_in(photos), trimaps)
    check_manifest(out)
    jobs = [Job(photo, trimap, out, subject) for photo, trimap in pairs]
    done: dict[Job, str] = {}
    for job, (state, reason) in track(spread(attempt, jobs, workers, _one_thread, (os.getpid(),))):
        if state:
            done[job] = state
        else:
            left_out.append(LeftOut(job.photo, str(reason)))
            log.warning("left out %s", reason)
    if not done:
        raise DataError(f"{photos}: none of {len(jobs)} mattes could be solved")
    done = {job: done[job] for job in jobs if job in done}
    write_manifest(out, list(done))
    _write_sheet(out / SHEET, list(done)[:SHEET_MOST])
    return Labelled(subject, done, left_out)


def label(job: Job) -> str:
    """Do one job; WRITTEN, or FINISHED if there was nothing to do. Raises BadPicture, and then nothing was written."""
    alpha = job.target("alpha")
    if _finished(job):
        return FINISHED
    image, trimap = read_rgb(job.photo), read_trimap(job.trimap)
    (height, width), own = image.shape[-2:], trimap.shape[-2:]
    if own != (height, width):
        raise BadPicture(
            job.trimap, f"is {own[1]} x {own[0]}, its photo {width} x {height}: scale it by nearest neighbour"
        )
    reason = problem(trimap)
    if reason:
        raise BadPicture(job.trimap, reason)
    copy = job.target("file")
    if copy.exists() and not filecmp.cmp(copy, job.photo, shallow=False):
        raise BadPicture(job.photo, f"{copy} is another picture already: choose another folder for the result")
    try:
        solved = closed_form_alpha(image, trimap)
    except DataError as error:
        raise BadPicture(job.trimap, str(error)) from None
    except MemoryError:
        raise BadPicture(job.photo, f"{width} x {height} needs more memory than there is: make it smaller") from None
    if not copy.exists():  # else the same bytes, as was seen above
        replace_file(copy, job.photo.read_bytes())
    write_trimap(job.target("trimap"), trimap)
    write_alpha(alpha, solved)
    return WRITTEN


def attempt(job: Job) -> tuple[str | None, str | None]:
    """(what `label` says, None), or (None, why it could not be done): what comes back from another process."""
    try:
        return label(job), None
    except BadPicture as error:
        return None, str(error)


def check_manifest(root: Path) -> None:
    """Raise DataError if `root` has a manifest that cannot be read, so that nothing is solved in vain."""
    if (root / MANIFEST).exists():
        read_manifest(root)


def write_manifest(root: Path, jobs: Sequence[Job]) -> None:
    """root/manifest.csv with a row per finished job, after the rows it had of other pictures. Atomic.

    Raises DataError if there is a manifest that is none.
    """
    path = root / MANIFEST
    new = [job.row() for job in jobs]
    files = {row["file"] for row in new}
    columns, rows = [*COLUMNS, "trimap", "note"], []
    check_manifest(root)
    if path.exists():
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            rows = [row for row in reader if row["file"] not in files]
            columns = list(dict.fromkeys([*(reader.fieldnames or []), *columns]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, *new])
    replace_file(path, text.getvalue())


def _pairs(photos: Sequence[Path], trimaps: Path) -> tuple[list[tuple[Path, Path]], list[LeftOut]]:
    if not trimaps.is_dir():
        raise DataError(f"{trimaps}: no such folder; `stylematte trimap` makes one")
    found = {file.stem: file for file in pictures_in(trimaps)}
    pairs = [(photo, found[photo.stem]) for photo in photos if photo.stem in found]
    missing = [photo for photo in photos if photo.stem not in found]
    if not pairs:
        raise DataError(f"{trimaps}: no trimap called {photos[0].stem}.png, or like any other of the photos")
    if missing:
        log.warning("%d photos have no trimap, for example %s", len(missing), missing[0].name)
    return pairs, [LeftOut(photo, f"no {photo.stem}.png in {trimaps}") for photo in missing]


def _one_thread(parent: int) -> None:
    """In a worker: threads of several would only wait for each other."""
    if os.getpid() != parent:
        torch.set_num_threads(1)


def _write_sheet(path: Path, jobs: Sequence[Job]) -> None:
    """A row per picture: photo, trimap, alpha, and the subject on a checkerboard."""
    strip = []
    for job in jobs:
        photo, alpha = read_rgb(job.photo), read_alpha(job.target("alpha"))
        row = photo, read_trimap(job.target("trimap")), alpha, torch.cat([photo, alpha])
        strip += [thumbnail(picture) for picture in row]
    write_rgb(path, contact_sheet(strip, columns=8 if len(jobs) > 3 else 4))


def _finished(job: Job) -> bool:
    """Whether all three results are there, and the alpha is younger than what it was made of."""
    if not all(job.target(column).is_file() for column in ("file", "trimap", "alpha")):
        return False
    made = job.target("alpha").stat().st_mtime_ns
    same = filecmp.cmp(job.target("file"), job.photo, shallow=False)
    return same and made >= max(job.photo.stat().st_mtime_ns, job.trimap.stat().st_mtime_ns)
