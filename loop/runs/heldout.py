"""Which pictures of a data folder a run held out, and which it trained on, as its `prepare` split them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from loop.engine.step import step_folder
from loop.runs.folder import is_run
from stylematte.errors import ConfigError
from stylematte.jsonl import read_jsonl


class Split(NamedTuple):
    """Files of `root`, absolute. run: whose split it is."""

    run: Path
    root: Path
    heldout: frozenset[Path]
    trained: frozenset[Path]


def split_of(matter: Path, data: Path | None) -> Split | None:
    """The split of the run that `matter` is (or lies in), where `data` is that run's folder of pictures.

    data: None for that folder. None is returned where the run does not know the pictures: it has not seen them either.
    Raises ConfigError if there is nothing to measure on.
    """
    here = matter.expanduser().resolve()
    run = next((path for path in (here, *here.parents) if is_run(path)), None)
    if run is None:
        if data is None:
            raise ConfigError(f"{matter}: is no run, whose held-out pictures could be measured; give --data DIR")
        return None
    given = yaml.safe_load((run / "config.yaml").read_text())["data"]["root"]
    if not isinstance(given, str):
        if data is None:
            raise ConfigError(
                f"{matter}: its pictures were drawn by code; `stylematte status` has its figures, or --data DIR"
            )
        return None
    root = Path(given).expanduser().resolve()
    if data is not None and data.expanduser().resolve() != root:
        return None
    rows = read_jsonl(step_folder(run, "00/prepare") / "index.jsonl")
    files: dict[str, set[Path]] = {"heldout": set(), "train": set()}
    for row in rows:
        files.setdefault(row["split"], set()).add((root / row["source"]).resolve())
    return Split(run, root, frozenset(files["heldout"]), frozenset(files["train"]))
