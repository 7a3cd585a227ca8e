"""A run's forecast: seconds of each step, the hours of the whole, memory and disk, and on what all of it rests.

What a run has measured counts before the model: a finished step takes what it took, and the steps of a stage of which
there are some, there or in another run, are scaled by what these took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from loop.config.schema import Config
from loop.engine import schedule
from loop.engine.config import LaunchConfig
from loop.engine.launchers.choice import runs_apart
from loop.engine.step import Step
from loop.forecast.hardware import Hardware, cores
from loop.forecast.measured import factors, factors_of
from loop.forecast.seconds import THREADS, StepSeconds
from loop.forecast.size import disk, fit_memory
from stylemattegan.config import CompositeDiscriminatorKind


class Forecast(NamedTuple):
    seconds: dict[str, float]
    """Step id -> seconds, measured or expected."""
    wall: float
    """Seconds of the whole run from its beginning, steps side by side where launch.at_once lets them."""
    remaining: float
    """The same of what is not finished."""
    memory: dict[str, float]
    """Fit -> bytes at its peak on each device."""
    memory_limit: float
    """Bytes that a device has; 0 if that is not known."""
    disk: float
    """Bytes of all results."""
    assumptions: list[str]


def forecast(
    config: Config,
    steps: Sequence[Step],
    hardware: Hardware,
    finished: Mapping[str, float],
    measured: Path | None = None,
) -> Forecast:
    """finished: step id -> seconds of this run's own results. measured: another run whose seconds scale what is left.

    Raises ConfigError where `measured` is not a run of this version.
    """
    costs = StepSeconds(config, hardware)
    scale = factors(measured, hardware) if measured else {}
    own = factors_of(finished, steps, costs)
    scale |= own
    seconds = {step.id: finished.get(step.id, costs.of(step) * scale.get(step.stage, 1.0)) for step in steps}
    return Forecast(
        seconds,
        wall_seconds(steps, seconds, config.launch),
        wall_seconds(steps, {**seconds, **dict.fromkeys(finished, 0.0)}, config.launch),
        {stage: max(fit_memory(costs, step) for step in steps if step.stage == stage) for stage in _fits(steps)},
        hardware.memory,
        disk(costs, steps),
        list(_assumptions(costs, scale, measured, own)),
    )


def wall_seconds(steps: Sequence[Step], seconds: Mapping[str, float], launch: LaunchConfig) -> float:
    """How long they take as `loop.engine.schedule.walk` does them."""
    return schedule.wall_seconds(steps, seconds, launch.at_once, lambda step: runs_apart(step, launch))


def _assumptions(
    costs: StepSeconds, scale: Mapping[str, float], measured: Path | None, own: Mapping[str, float]
) -> Iterator[str]:
    config, hardware, seen = costs.config, costs.hardware, costs.pictures
    yield f"{hardware.name}: {hardware.source}"
    if own:
        yield f"finished steps of this run scale what is left of their stages: {_factors(own)}"
    others = {stage: factor for stage, factor in scale.items() if stage not in own}
    if measured and others:
        yield f"scaled to what {measured} took, so the hours are those of its machine: {_factors(others)}"
    elif measured:
        yield f"{measured} has no finished step that says more"
    if hardware.gpu:
        yield (
            f"{costs.devices} x {hardware.name}: as many as launch.devices; fits side by side share them. Gradients "
            "are exchanged at 50 GB/s; no run on several GPUs was measured"
        )
        if config.generator.fit.precision.value != "fp32" or config.launch.precision != "32-true":
            yield "16 bits are counted as slow as float32 (no measurement): hours may be fewer by half"
    else:
        yield f"{cores()} cores with nothing else on them; n threads are n ** {THREADS:g} times as fast as one"
    yield (
        f"G {costs.generator.macs / 1e9:.3g}, D {costs.discriminator.macs / 1e9:.3g} and the matter "
        f"{costs.matter.macs / 1e9:.3g} thousand million multiply-adds a picture of {config.data.size} x "
        f"{config.data.size} forward; time grows with them, with steps and with batch / devices"
    )
    labelled, heldout, photos = (sum(part.values()) for part in (seen.labelled, seen.heldout, seen.photos))
    yield (
        f"{labelled} labelled training pictures, {heldout} held out, {photos} photos to label; every photo is taken "
        "to be kept; disk without the checkpoint of a fit under way"
    )
    if config.generator.init_from:
        yield "generators are counted as generator.network says, not as generator.init_from was built"
    if config.generator.composite_discriminator.kind is not CompositeDiscriminatorKind.none:
        yield "the composite discriminator is counted as another D"


def _fits(steps: Sequence[Step]) -> list[str]:
    """The stages that fit something."""
    return list(dict.fromkeys(step.stage for step in steps if step.fit))


def _factors(scale: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} x {factor:.2f}" for stage, factor in scale.items())
