"""What of a run is done, and what a configuration would do: the state, work and metrics of every step, and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.config.schema import Config
from loop.engine.execute import freshness
from loop.engine.lock import holder
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step, step_folder
from loop.plan import plan
from loop.runs.folder import check_run, is_run


@dataclass(frozen=True)
class StepState:
    """state: fresh, stale, missing, damaged or waits, and why. work: how much it has to do, in its own unit. seconds
    and metrics: of the result that is there."""

    step: str
    state: str
    why: str
    work: str
    seconds: float | None
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Outlook:
    """The steps of a configuration over its run folder."""

    run: Path
    config: Config
    planned: list[Step]
    steps: list[StepState]
    """Of the planned ones, in their order."""
    run_bytes: int
    free_bytes: int
    writer: dict[str, Any] | None
    """{pid, host, since, command} of the process that writes the run now."""


def outlook(path: Path, overrides: Sequence[str] = ()) -> Outlook:
    """Of a YAML file, or of a run folder and what `key=value` overrides would change in it. Raises ConfigError."""
    run = is_run(path)
    config = load_config(path / "config.yaml" if run else path, overrides, check=not run or bool(overrides))
    folder = path if run else Path(config.run.dir)
    planned = plan(config, fingerprints(config, folder))
    steps = [_state(config, folder, *found) for found in freshness(folder, planned)]
    return Outlook(
        folder, config, planned, steps, _size(folder), shutil.disk_usage(_existing(folder)).free, holder(folder)
    )


def status(run: Path) -> Outlook:
    """Of a run folder. Raises DataError if it is none."""
    check_run(run)
    return outlook(run)


def work(config: Config, step: Step) -> str:
    """How much one step has to do, in its own unit."""
    matter = config.matter.later if step.round else config.matter.first
    generator = config.generator.fit
    drawn = config.synthesize.count_in(step.round)
    return {
        "fit_matter": f"{matter.steps} steps x {matter.batch}",
        "fit_generator": f"{generator.steps * generator.batch / 1000:g} kimg",
        "select_generator": f"{config.generator.select_images} pictures",
        "synthesize": f"{drawn} pictures",
        "draw_pairs": f"{drawn} pictures",
        "refine_pairs": f"{drawn} alphas",
        "select": f"{drawn} candidates",
    }.get(step.stage, "")


def _state(config: Config, run: Path, step: Step, state: str, why: str) -> StepState:
    try:
        made = StageRecord.load(step_folder(run, step.id))
    except StageError as error:
        return StepState(step.id, "damaged", str(error), work(config, step), None, {})
    if made is None:
        # a step that waits for another and was never made is missing
        return StepState(step.id, "missing" if state == "waits" else state, why, work(config, step), None, {})
    return StepState(step.id, state, why, work(config, step), made.seconds, made.metrics)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
