"""Finding files in the folder of a run of the loop, by their names alone: rounds/NN/... of the rounds it still has."""

from __future__ import annotations

from pathlib import Path

import yaml


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "rounds").is_dir()


def files_of_rounds(folder: Path, pattern: str) -> list[Path]:
    """folder/rounds/NN/`pattern`, oldest first, of the rounds and domains that the run's configuration still has."""
    files = sorted(folder.glob(f"rounds/[0-9][0-9]/{pattern}"))
    if not (folder / "config.yaml").is_file():
        return files
    config = yaml.safe_load((folder / "config.yaml").read_text())
    last, domains = config["run"]["rounds"], set(config["data"]["domains"])
    steps = [(file, file.relative_to(folder / "rounds").parts) for file in files]
    return [file for file, parts in steps if int(parts[0]) <= last and (len(parts) < 4 or parts[1] in domains)]
