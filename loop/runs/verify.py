"""Whether the files of a run are what was written: all of them for `verify`, the ones that are read for other verbs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loop.config.load import load_config
from loop.engine.commit import StepFolders
from loop.engine.damage import problem
from loop.engine.digest import RECORD
from loop.engine.lock import holder
from loop.fitting import checkpoints
from loop.runs.folder import check_run, is_run
from stylematte.errors import ConfigError, DataError


class Verified(NamedTuple):
    """What was read of a run, in numbers, and a line for each thing that is damaged."""

    results: int
    kept: int
    checkpoints: int
    damaged: list[str]
    at_work: bool
    """A process writes the run now, so its checkpoints were not read."""


def verify(run: Path) -> Verified:
    """Reads every byte of a run's results, kept results and checkpoints. Raises DataError if `run` is none."""
    check_run(run)
    found = damaged_results(run, full=True)
    kept = [folder for folder in _with_record(run / "kept") if not folder.name.startswith(("damaged-", "unrecorded-"))]
    found += [line for folder in kept for line in _line(run, folder, full=True)]
    at_work = holder(run) is not None
    scratches = [] if at_work else list(_scratches(run))
    for path in (path for scratch in scratches for path in checkpoints.damaged(scratch)):
        found.append(f"{path.relative_to(run)}: damaged: not what was written; the fit will not use it")
    there = [scratch / name for scratch in scratches for name in (checkpoints.LAST, checkpoints.PREVIOUS)]
    number = sum(path.exists() for path in there)
    return Verified(len(list(_results(run))), len(kept), number, found, at_work)


def damaged_results(run: Path, full: bool = False) -> list[str]:
    """A line for the run's configuration and each result, if it is not what was made.

    full: read them all, whatever their times say.
    """
    return [*_config(run), *(line for folder in _results(run) for line in _line(run, folder, full))]


def sound(folder: Path) -> Path:
    """`folder`, all of which was read if it is a result of a run. Raises DataError if it is damaged."""
    path = folder.resolve()
    run = next((parent for parent in path.parents if is_run(parent)), None)
    wrong = "" if run is None else problem(run, path, full=True)
    if wrong:
        raise DataError(f"{folder} is {wrong}; `stylematte run {run}` moves it aside and makes it again")
    return folder


def _config(run: Path) -> Iterator[str]:
    try:
        load_config(run / "config.yaml", check=False)
    except ConfigError as error:
        line = str(error).splitlines()[0].removeprefix(f"{run / 'config.yaml'} ")
        yield f"config.yaml: {line}; or give the run's YAML file to `stylematte run`"


def _results(run: Path) -> Iterator[Path]:
    return _with_record(run / "rounds", also_without=True)


def _with_record(root: Path, also_without: bool = False) -> Iterator[Path]:
    """Folders with a record, in order, not what is hidden. also_without: those, too, that have files and no record."""
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RECORD in files or (also_without and files):
            folders.clear()
            yield Path(parent)


def _line(run: Path, folder: Path, full: bool) -> Iterator[str]:
    there = (folder / RECORD).is_file()
    wrong = problem(run, folder, full) if there else f"damaged: {RECORD}, which says what it is, is gone"
    if wrong:
        yield f"{folder.relative_to(run)}: {wrong}"


def _scratches(run: Path) -> Iterator[Path]:
    for parent, folders, _ in os.walk(run / "rounds"):
        hidden = [name for name in folders if name.startswith(".")]
        folders[:] = [name for name in folders if name not in hidden]
        step = Path(parent).relative_to(run / "rounds").as_posix()
        for name in sorted({name.split(".")[1] for name in hidden}):
            yield from (path for path in StepFolders(run, f"{step}/{name}").scratches() if path.is_dir())
