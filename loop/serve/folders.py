"""The runs below RUNS_DIR by name. Whatever a client names is looked up in this list, so no name leads out of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Lock

from loop.engine.step import step_folder
from stylematte.rounds import is_run

DEEP = 3
"""Folders between RUNS_DIR and a run, for experiments: EXPERIMENT/ARM/SEED."""
LOOK = 2.0  # seconds between two looks at the disk
SEPARATOR = ":"
"""In a run's name where its path has a slash."""


class Unknown(LookupError):
    """There is no run, step or picture of that name."""


class RunFolders:
    """Safe to ask from several threads."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir, self.turn = runs_dir.resolve(), Lock()
        self.found: dict[str, Path] = {}
        self.looked = -LOOK

    def all(self, fresh: bool = False) -> dict[str, Path]:
        """Name -> folder, the last touched first."""
        with self.turn:
            if fresh or time.monotonic() - self.looked >= LOOK:
                folders = sorted(_runs(self.runs_dir, DEEP), key=_touched, reverse=True)
                self.found = {self.name_of(folder): folder for folder in folders}
                self.looked = time.monotonic()
            return self.found

    def get(self, name: str) -> Path:
        """Raises Unknown."""
        folder = self.all().get(name) or self.all(fresh=True).get(name)
        if folder is None:
            raise Unknown(f"there is no run of that name below {self.runs_dir.name}/")
        return folder

    def name_of(self, folder: Path) -> str:
        return folder.relative_to(self.runs_dir).as_posix().replace("/", SEPARATOR)


def inside(run: Path, path: Path) -> Path:
    """`path`, of which a file of the run speaks. Raises Unknown if it leads out of the run."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(run)):
        raise Unknown("a file of the run names a picture outside of it")
    return real


def domain_folder(run: Path, round_: int, domain: str) -> Path:
    """rounds/NN/DOMAIN of a run. Raises Unknown unless it is one of those that are there."""
    folder = step_folder(run, f"{round_:02d}")
    if not any(found.name == domain and not domain.startswith(".") for found in _folders(folder)):
        raise Unknown(f"round {round_} has no domain of that name")
    return folder / domain


def _runs(folder: Path, deep: int) -> list[Path]:
    found = []
    for each in _folders(folder):
        if is_run(each):
            found.append(each)
        elif deep > 1:
            found += _runs(each, deep - 1)
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def _touched(run: Path) -> float:
    return max((stamp(run / name) for name in ("live.json", "manifest.json", "config.yaml")), default=0)


def stamp(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
