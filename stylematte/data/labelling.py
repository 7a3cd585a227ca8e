"""A data root made of photos and trimaps: each alpha solved in closed form, the manifest says `pseudo-alpha`.

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
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stylematte.data.manifest import COLUMNS, read_manifest
from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import read_rgb, read_trimap, write_alpha, write_trimap
from stylematte.ops.closed_form import closed_form_alpha
from stylematte.trimap import problem

MANIFEST = "manifest.csv"
WRITTEN, FINISHED = "written", "already there"


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
    _copy(job.photo, copy)
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
    temporary = path.with_name(f".{MANIFEST}.{os.getpid()}.tmp")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    os.replace(temporary, path)


def _finished(job: Job) -> bool:
    """Whether all three results are there, and the alpha is younger than what it was made of."""
    if not all(job.target(column).is_file() for column in ("file", "trimap", "alpha")):
        return False
    made = job.target("alpha").stat().st_mtime_ns
    same = filecmp.cmp(job.target("file"), job.photo, shallow=False)
    return same and made >= max(job.photo.stat().st_mtime_ns, job.trimap.stat().st_mtime_ns)


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return  # the same bytes, or `label` had refused
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
