"""Make an experiment's runs, one for each arm and seed, each an ordinary run folder; the same call goes on.

Seeds are the outer loop, in blocks of as many as run side by side, so that what is there compares all arms. Finished
runs are fresh to the engine and cost nothing; steps that several runs have in common are made once
(`loop.engine.shared`); the table is written anew after each run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loop.config.load import load_config
from loop.config.schema import Config
from loop.engine import signals
from loop.engine.execute import Event
from loop.engine.files import write_json
from loop.engine.lock import one_writer, this_command
from loop.engine.stage import StageFailed, Stopped
from loop.engine.step import Step
from loop.experiments.experiment import Experiment, Measured
from loop.experiments.folder import MEASURED, SHARED, ask, run_folder, settings
from loop.experiments.registry import named
from loop.experiments.side_by_side import side_by_side
from loop.experiments.summary import Summary
from loop.experiments.tables import write_summary
from loop.report.build import build_report
from loop.runs.run import make
from stylematte.errors import ConfigError, DataError


@dataclass(frozen=True)
class Job:
    """One run of an experiment: what is needed to make it, here or elsewhere."""

    arm: str
    seed: int
    config: Config
    folder: Path
    shared: Path
    """Where runs leave finished steps for each other."""


def run(
    experiment: str | Experiment,
    config: str | Path | None = None,
    words: Sequence[str] = (),
    *,
    seeds: int = 3,
    arms: Sequence[str] = (),
    out: str | Path | None = None,
    at_once: int = 1,
    listen: Callable[[Job, Event], None] = lambda job, event: None,
) -> Summary:
    """Answer a question, or go on with it, and return what was found.

    words: key=value overrides of `config` for all arms. arms: these alone, and the control stays what it is. out: the
    experiment's folder (default experiments/NAME); table.md, table.json and plot.svg are written there. at_once: so
    many runs side by side, each with its share of the cores and GPUs. listen: called with every event of every run.
    Raises ConfigError, RunLocked, Stopped (the same call goes on) or
    StageFailed. A fit that was stopped because it diverged is a result, not an error.
    """
    asked = named(experiment) if isinstance(experiment, str) else experiment
    folder = Path(out) if out is not None else Path("experiments") / asked.name
    path, chosen = Path(config or asked.config), _chosen(asked, arms)
    for name, number in (("seeds", seeds), ("at_once", at_once)):
        if number < 1:
            raise ConfigError(f"{name}={number}: expected 1 or more")
    jobs = [_job(asked, path, words, folder, arm, seed) for arm, seed in in_turn(chosen, seeds, at_once)]
    common = load_config(path, [*asked.settings, *words])
    with one_writer(folder):
        ask(folder, settings(asked, common), {arm: asked.arms[arm] for arm in chosen})
    write_summary(asked, folder)
    with signals.handled():
        if at_once > 1:
            side_by_side(do, asked, jobs, at_once, listen, lambda: write_summary(asked, folder))
        else:
            _one_by_one(asked, jobs, listen, folder)
    return write_summary(asked, folder)


def in_turn(arms: Sequence[str], seeds: int, at_once: int = 1) -> list[tuple[str, int]]:
    """(arm, seed) in the order in which they begin: as many seeds at a time as runs, of those arm by arm.
    Runs of one seed have steps in common, so the second of two that begin together would wait for the first."""
    blocks = [range(first, min(first + at_once, seeds)) for first in range(0, seeds, at_once)]
    return [(arm, seed) for block in blocks for arm in arms for seed in block]


def _one_by_one(
    experiment: Experiment, jobs: Sequence[Job], listen: Callable[[Job, Event], None], folder: Path
) -> None:
    for job in jobs:
        if signals.stop_requested():
            raise Stopped(f"stopped before {job.arm}, seed {job.seed}; to go on: {this_command()}")
        do(experiment, job, lambda event, job=job: listen(job, event))  # type: ignore[misc]
        write_summary(experiment, folder)


def do(experiment: Experiment, job: Job, listen: Callable[[Event], None]) -> None:
    """Bring one run up to date and measure it. Needs nothing of the other runs."""
    with one_writer(job.folder):
        try:
            # Former results are kept until `gc`, so nothing is lost by making some again.
            make(
                job.config,
                job.folder,
                lambda steps: steps_until(steps, experiment.until),
                lambda *_: True,
                listen,
                job.shared,
            )
        except StageFailed:
            if stopped_reason(job.folder) is None:
                raise
        measure(experiment, job.folder)
        build_report(job.folder)


def measure(experiment: Experiment, run_dir: Path) -> Measured:
    """What the run shows: measured once, kept in measured.json for as long as the results it was read from."""
    path = run_dir / MEASURED
    of = {
        str(file.parent.relative_to(run_dir / "rounds")): json.loads(file.read_text())["outputs"]
        for file in sorted(run_dir.glob("rounds/**/stage.json"))
    }
    if path.is_file():
        previous: dict[str, Any] = json.loads(path.read_text())
        if previous["of"] == of:
            return dict(previous["values"])
    reason = stopped_reason(run_dir)
    values = experiment.measure(run_dir)
    if not values and reason is None:
        raise DataError(f"{run_dir}: nothing to measure; are there held-out pictures?")
    write_json(path, {"stopped": reason, "of": of, "values": values}, sort_keys=False)
    return values


def stopped_reason(run_dir: Path) -> str | None:
    """Why the first fit of this run that did not reach its end was stopped; None if all did."""
    for file in sorted(run_dir.glob("rounds/**/stopped.json")):
        return f"{file.parent.relative_to(run_dir / 'rounds')}: {json.loads(file.read_text())['reason']}"
    return None


def steps_until(steps: Sequence[Step], stage: str | None) -> list[Step]:
    """The steps of `stage` and all they are made from, in the plan's order; all steps for None."""
    if stage is None:
        return list(steps)
    needed: set[str] = set()
    for step in reversed(steps):
        if step.stage == stage or step.id in needed:
            needed |= {step.id, *step.inputs.values()}
    assert needed, f"no stage {stage} in the plan"
    return [step for step in steps if step.id in needed]


def _chosen(experiment: Experiment, arms: Sequence[str]) -> list[str]:
    for arm in arms:
        if arm not in experiment.arms:
            raise ConfigError(f"no arm '{arm}' in {experiment.name}, there are: {', '.join(experiment.arms)}")
    return [arm for arm in experiment.arms if not arms or arm in arms]


def _job(experiment: Experiment, path: Path, words: Sequence[str], folder: Path, arm: str, seed: int) -> Job:
    differ = {given.partition("=")[0]: name for name, all_given in experiment.arms.items() for given in all_given}
    for word in words:
        key = word.partition("=")[0]
        if key in ("run.seed", "run.dir"):
            raise ConfigError(f"'{word}': the experiment sets it; use --seeds and -o")
        if key in differ:
            raise ConfigError(f"'{word}': is what the arms differ in (arm {differ[key]} sets it); leave it out")
    target = run_folder(folder, arm, seed)
    own = [*experiment.settings, *words, *experiment.arms[arm], f"run.seed={seed}", f"run.dir={target}"]
    return Job(arm, seed, load_config(path, own), target, folder / SHARED)
