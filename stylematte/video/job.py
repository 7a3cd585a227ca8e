"""The work folder of an unfinished video: which segments are done, and what the next one begins with.

.NAME.partial/ beside the output holds job.json (what was asked; another question begins anew), NNNNN.json of each
finished segment (its timestamps), written last and atomically, the segment's file, and one state.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from stylematte.atomic import replace_file
from stylematte.errors import DataError
from stylematte.video.steady import State


class Job:
    """asked: all that the result depends on, as JSON."""

    def __init__(self, out: Path, asked: dict[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.partial")
        self.asked = json.loads(json.dumps(asked))
        self.segments: list[list[int]] = []
        """Timestamps of the frames of each finished segment."""

    def open(self) -> str | None:
        """Finds what is finished. What was left by another question is removed, and said in the line returned."""
        if not self.folder.parent.is_dir():
            raise DataError(f"-o: {self.folder.parent} is no folder")
        said = None
        file = self.folder / "job.json"
        if file.is_file() and json.loads(file.read_text()) != self.asked:
            said = "the unfinished work that was there is of other options or another input: begun anew"
            shutil.rmtree(self.folder)
        replace_file(file, json.dumps(self.asked))
        while (record := self._record(len(self.segments))).is_file():
            self.segments.append(json.loads(record.read_text())["pts"])
        return said

    @property
    def done(self) -> int:
        """Frames that are finished."""
        return sum(len(pts) for pts in self.segments)

    @property
    def pts(self) -> list[int]:
        return [pts for segment in self.segments for pts in segment]

    def state(self) -> State:
        """After the last finished segment."""
        return State.load(self._state(len(self.segments) - 1)) if self.segments else State()

    def path(self, number: int, ending: str) -> Path:
        return self.folder / f"{number:05d}{ending}"

    def paths(self, ending: str) -> list[Path]:
        return [self.path(number, ending) for number in range(len(self.segments))]

    def finished(self, pts: list[int], state: State) -> None:
        """The next segment's file is whole."""
        number = len(self.segments)
        state.save(self._state(number))
        replace_file(self._record(number), json.dumps({"pts": pts}))
        self.segments.append(pts)
        self._state(number - 1).unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.folder)

    def _record(self, number: int) -> Path:
        return self.folder / f"{number:05d}.json"

    def _state(self, number: int) -> Path:
        return self.folder / f"{number:05d}.npz"


def fingerprint(path: Path) -> str:
    """Of a file's size, first and last MiB; of a folder's names and sizes; of a file that is not there, its name."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            digest.update(f"{file.relative_to(path)} {file.stat().st_size}\n".encode())
        return digest.hexdigest()
    if not path.is_file():
        return str(path)
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return digest.hexdigest()
