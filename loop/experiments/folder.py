"""An experiment's folder: experiment.json (what was asked), runs/ARM/SEED/ (ordinary runs), table.md and plot.svg.

shared/ holds the steps that several runs have in common, as hard links; without it they are made again.

A second call may add seeds and arms. Other settings are another experiment and are refused: their runs could not be
compared with those that are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loop.config.schema import Config
from loop.engine.files import write_json
from loop.experiments.experiment import Experiment
from stylematte.errors import ConfigError
from stylematte.fields import to_plain

ASKED, MEASURED, SHARED = "experiment.json", "measured.json", "shared"
EITHER_WAY = ("run.dir", "run.seed", "tracking.", "launch.")
"""Settings that may change from call to call, but for launch.precision: they say where and how, not what."""


def run_folder(folder: Path, arm: str, seed: int) -> Path:
    return folder / "runs" / arm / str(seed)


def settings(experiment: Experiment, config: Config) -> dict[str, Any]:
    """What experiment.json holds: the question, and all that its answer depends on but arms and seeds."""
    flat = dict(_leaves(to_plain(config)))
    kept = {key: value for key, value in flat.items() if key == "launch.precision" or not key.startswith(EITHER_WAY)}
    named = {"name": experiment.name, "question": experiment.question, "control": experiment.control}
    return json.loads(json.dumps({**named, "until": experiment.until, "settings": kept, "arms": {}}))


def ask(folder: Path, asked: dict[str, Any], arms: Mapping[str, Any]) -> None:
    """Write experiment.json, or add `arms` (name -> words) to the one that is there. Raises ConfigError."""
    path = folder / ASKED
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
    else:
        previous = read(folder)
        _same(folder, previous, asked)
        for arm, words in previous["arms"].items():
            if arm in arms and words != list(arms[arm]):
                raise ConfigError(f"{folder}: arm {arm} was {' '.join(words)} there: {_cure(folder)}")
        arms = {**previous["arms"], **arms}
    write_json(path, {**asked, "arms": {arm: list(words) for arm, words in arms.items()}}, sort_keys=False)


def read(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / ASKED).read_text(encoding="utf-8"))
        return found
    except FileNotFoundError:
        raise ConfigError(f"{folder}: no experiment ({ASKED} is missing)") from None
    except ValueError as error:
        raise ConfigError(f"{folder / ASKED} cannot be read ({error}): {_cure(folder)}") from None


def _same(folder: Path, previous: dict[str, Any], asked: dict[str, Any]) -> None:
    for key in ("name", "control", "until"):
        if previous[key] != asked[key]:
            raise ConfigError(f"{folder} has {key} {previous[key]}, now {asked[key]}: {_cure(folder)}")
    was, now = previous["settings"], asked["settings"]
    changes = [f"{key}={was.get(key)}, now {now.get(key)}" for key in {**was, **now} if was.get(key) != now.get(key)]
    if changes:
        more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
        raise ConfigError(f"{folder} was asked with {changes[0]}{more}: {_cure(folder)}")


def _cure(folder: Path) -> str:
    return f"give the previous settings, or another folder with -o such as {folder}-2"


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
