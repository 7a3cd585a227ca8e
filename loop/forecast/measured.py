"""What finished steps took, against what the cost model says they would have: a factor for each stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loop.config.fingerprints import Fingerprints
from loop.config.load import load_config
from loop.engine.record import StageError, StageRecord
from loop.engine.step import Step, step_folder
from loop.forecast.hardware import Hardware
from loop.forecast.seconds import StepSeconds
from loop.plan import plan

DIGESTS = {"fingerprint", "init_digests", "backbone_digest"}


def measured_seconds(run: Path, steps: Iterable[Step]) -> dict[str, float]:
    """Step id -> seconds of the finished results in `run` that were made with that step's part of the configuration."""
    found = {}
    for step in steps:
        try:
            record = StageRecord.load(step_folder(run, step.id))
        except StageError:
            continue
        if record is not None and _asked(record.config) == _asked(step.config):
            found[step.id] = record.seconds
    return found


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A step's part of the configuration without what says which files were there: they may have moved away."""
    return {key: value for key, value in config.items() if key not in DIGESTS}


def factors(run: Path, hardware: Hardware) -> dict[str, float]:
    """Stage -> seconds measured in `run`, by those of the cost model for the run's own configuration.

    Raises ConfigError where `run` is not one of this version.
    """
    config = load_config(run / "config.yaml", check=False)
    steps = plan(config, Fingerprints())
    return factors_of(measured_seconds(run, steps), steps, StepSeconds(config, hardware))


def factors_of(seconds: Mapping[str, float], steps: Iterable[Step], costs: StepSeconds) -> dict[str, float]:
    """Stage -> all seconds measured by all that the model says of the same steps; diverged fits are among them."""
    measured: dict[str, float] = defaultdict(float)
    modelled: dict[str, float] = defaultdict(float)
    for step in steps:
        if step.id in seconds:
            measured[step.stage] += seconds[step.id]
            modelled[step.stage] += costs.of(step)
    return {stage: measured[stage] / modelled[stage] for stage in measured}
