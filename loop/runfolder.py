"""Finding things in a run folder: its configuration, the accepted matter, the generator that stands in a domain."""

from __future__ import annotations

import json
from pathlib import Path

import yaml


class NoSuchArtefact(ValueError):
    """The folder named holds no such thing; says what was expected there."""

    exit_code = 3


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "rounds").is_dir()


def accepted_matter(folder: Path) -> Path:
    """The folder with matter.safetensors: `folder` itself, or the last accepted one of the run `folder`."""
    if (folder / "matter.json").is_file() or (folder / "model.safetensors").is_file():  # ours, or the hub's names
        return folder
    found = _of_rounds(folder, "accept/matter.json") or sorted(folder.glob("matter/matter.json"))
    if not found:
        raise NoSuchArtefact(f"{folder}: no accepted matter; expected a run folder after round 0, or an exported one")
    return found[-1].parent


def accepted_round(folder: Path) -> int:
    verdict = json.loads((accepted_matter(folder) / "verdict.json").read_text())
    return int(verdict["accepted_round"])


def generators(folder: Path) -> dict[str, Path]:
    """Domain -> folder with generator.json: the one that stands in each domain of a run, or those of an export."""
    found: dict[str, Path] = {}
    for file in _of_rounds(folder, "*/select_generator/generator.json"):
        found[file.parent.parent.name] = file.parent
    for file in sorted(folder.glob("generators/*/generator.json")):
        found[file.parent.name] = file.parent
    if (folder / "generator.json").is_file():
        found[folder.name] = folder
    return found


def _of_rounds(folder: Path, pattern: str) -> list[Path]:
    """Files of the rounds that the run's configuration still has, oldest first."""
    files = sorted(folder.glob(f"rounds/[0-9][0-9]/{pattern}"))
    if not (folder / "config.yaml").is_file():
        return files
    config = yaml.safe_load((folder / "config.yaml").read_text())
    last, domains = config["run"]["rounds"], set(config["data"]["domains"])
    steps = [(file, file.relative_to(folder / "rounds").parts) for file in files]
    return [file for file, parts in steps if int(parts[0]) <= last and (len(parts) < 4 or parts[1] in domains)]


def newest_run(parent: Path = Path("runs")) -> Path:
    """The run folder below `parent` that has an accepted matter and was worked on last."""
    runs = {file.parents[3] for file in parent.glob("*/rounds/[0-9][0-9]/accept/verdict.json")}
    if not runs:
        raise NoSuchArtefact(f"no run with an accepted matter below {parent}/: name one, or do `stylematte run` first")
    return max(runs, key=lambda run: (run / "manifest.json").stat().st_mtime if (run / "manifest.json").exists() else 0)
