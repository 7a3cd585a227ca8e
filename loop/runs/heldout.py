"""Which pictures of a data folder a run held out, and which it trained on, as its `prepare` split them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from loop.config.load import load_config
from loop.engine.step import step_folder
from loop.runs.folder import is_run
from stylematte.data.manifest import BACKGROUND
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
    roots = load_config(run / "config.yaml", check=False).data.all_roots()  # as the rows of `prepare` count them
    if not roots:
        if data is None:
            raise ConfigError(
                f"{matter}: its pictures were drawn by code; `stylematte status` has its figures, or --data DIR"
            )
        return None
    with_subjects = [Path(root.root) for root in roots if root.kind != BACKGROUND]
    if data is None and len(with_subjects) > 1:
        named = ", ".join(map(str, with_subjects))
        raise ConfigError(f"{matter}: has {len(with_subjects)} data roots; give one by --data: {named}")
    root = with_subjects[0] if data is None else data.expanduser().resolve()
    if root not in with_subjects:
        return None
    files: dict[str, set[Path]] = {"heldout": set(), "train": set()}
    for row in read_jsonl(step_folder(run, "00/prepare") / "index.jsonl"):
        if len(roots) == 1 or Path(roots[row["root"]].root) == root:
            files.setdefault(row["split"], set()).add(_file(root, row))
    return Split(run, root, frozenset(files["heldout"]), frozenset(files["train"]))


def _file(root: Path, row: dict[str, Any]) -> Path:
    """Of several roots, a row names its own, too."""
    source = row["source"].partition("/")[2] if "root" in row else row["source"]
    return (root / source).resolve()
