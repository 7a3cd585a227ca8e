"""Which pictures of a data folder a run held out, and which it trained on, as its `prepare` split them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

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
    roots = _roots(run)
    if not roots:
        if data is None:
            raise ConfigError(
                f"{matter}: its pictures were drawn by code; `stylematte status` has its figures, or --data DIR"
            )
        return None
    if data is None and len(roots) > 1:
        raise ConfigError(f"{matter}: has {len(roots)} data roots; give one by --data: {', '.join(map(str, roots))}")
    root = roots[0] if data is None else data.expanduser().resolve()
    if root not in roots:
        return None
    files: dict[str, set[Path]] = {"heldout": set(), "train": set()}
    for row in read_jsonl(step_folder(run, "00/prepare") / "index.jsonl"):
        if len(roots) == 1 or roots[row["root"]] == root:
            files.setdefault(row["split"], set()).add(_file(root, row))
    return Split(run, root, frozenset(files["heldout"]), frozenset(files["train"]))


def _roots(run: Path) -> list[Path]:
    """The run's folders of pictures, in its configuration's order; none where they were drawn."""
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]
    given = [entry["root"] for entry in data.get("roots") or []] or ([data["root"]] if data["root"] else [])
    return [Path(root).expanduser().resolve() for root in given]


def _file(root: Path, row: dict[str, Any]) -> Path:
    """Of several roots, a row names its own, too."""
    source = row["source"].partition("/")[2] if "root" in row else row["source"]
    return (root / source).resolve()
