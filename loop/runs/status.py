"""What of a run is done, and what a configuration would do: the state, work and metrics of every step, and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.config.schema import Config
from loop.engine.execute import freshness
from loop.engine.files import bytes_below
from loop.engine.live import Live, read_live
from loop.engine.lock import holder
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step, step_folder
from loop.plan import plan
from loop.runs.folder import check_run, is_run


@dataclass(frozen=True)
class StepState:
    """state: running, fresh, stale, missing, damaged or waits, and why. work: how much it has to do, in its own unit.
    seconds and metrics: of the result that is there."""

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
    live: Live | None
    """What the loop does that writes it now, or wrote it last."""


def outlook(path: Path, overrides: Sequence[str] = ()) -> Outlook:
    """Of a YAML file, or of a run folder and what `key=value` overrides would change in it. Raises ConfigError."""
    run = is_run(path)
    config = load_config(path / "config.yaml" if run else path, overrides, check=not run or bool(overrides))
    folder = path if run else Path(config.run.dir)
    planned = plan(config, fingerprints(config, folder))
    live = read_live(folder)
    running = {step.step for step in live.steps} if live is not None else set()
    steps = [_state(config, folder, *found) for found in freshness(folder, planned)]
    steps = [replace(step, state="running", why="") if step.step in running else step for step in steps]
    free = shutil.disk_usage(_existing(folder)).free
    return Outlook(folder, config, planned, steps, bytes_below(folder), free, holder(folder), live)


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


def amount(step: Step) -> float:
    """How much one step has to do, as a number whose unit its stage shares over rounds; 1 where it has none.

    Read from the step's own part of the configuration, so that a new stage needs no line here.
    """
    fit, count = step.config.get("fit"), step.config.get("count")
    if isinstance(fit, dict) and isinstance(fit.get("steps"), int):
        return float(fit["steps"] * fit.get("batch", 1))
    return float(count) if isinstance(count, int) else 1.0


def _state(config: Config, run: Path, step: Step, state: str, why: str) -> StepState:
    try:
        made = StageRecord.load(step_folder(run, step.id))
    except StageError as error:
        return StepState(step.id, "damaged", str(error), work(config, step), None, {})
    if made is None:
        # a step that waits for another and was never made is missing
        return StepState(step.id, "missing" if state == "waits" else state, why, work(config, step), None, {})
    return StepState(step.id, state, why, work(config, step), made.seconds, made.metrics)


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
