"""Finding files in the folder of a run of the loop: rounds/NN/... of the rounds it still has, and its best matter."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from stylematte.errors import DataError
from stylematte.sealed import check_seal


def is_run(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() and (folder / "rounds").is_dir()


def files_of_rounds(folder: Path, pattern: str) -> list[Path]:
    """folder/rounds/NN/`pattern`, oldest first, of the rounds and domains that the run's configuration still has.

    Raises DataError if the run's configuration is damaged.
    """
    files = sorted(folder.glob(f"rounds/[0-9][0-9]/{pattern}"))
    if not (folder / "config.yaml").is_file():
        return files
    last, domains = _rounds_and_domains(folder / "config.yaml")
    steps = [(file, file.relative_to(folder / "rounds").parts) for file in files]
    return [file for file, parts in steps if int(parts[0]) <= last and (len(parts) < 4 or parts[1] in domains)]


def best_matter(folder: Path) -> Path | None:
    """rounds/NN/accept of the best round (`loop.scores`), as the newest verdict names it; None before round 0 is over.

    Where the verdict does not say (a run of an earlier version), the newest accepted matter.
    """
    found = files_of_rounds(folder, "accept/matter.json")
    if not found:
        return None
    try:
        best = json.loads(found[-1].with_name("verdict.json").read_text())["best_round"]
    except (OSError, ValueError, LookupError, TypeError):
        best = None
    return folder / "rounds" / f"{best:02d}" / "accept" if isinstance(best, int) else found[-1].parent


def _rounds_and_domains(path: Path) -> tuple[int, set[str]]:
    try:
        text = path.read_text(encoding="utf-8")
        check_seal(text)
        config = yaml.safe_load(text)
        return int(config["run"]["rounds"]), set(config["data"]["domains"])
    except yaml.YAMLError:
        raise DataError(f"{path} is damaged: no YAML any more; give the run's YAML file to `stylematte run`") from None
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path} {error if type(error) is ValueError else 'is damaged'}") from None
