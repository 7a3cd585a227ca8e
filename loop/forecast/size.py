"""Bytes that a run will need: memory of each fit on each device, and the disk of what the steps leave.

StyleGAN3-T at 256 x 256 in batches of 16 took 20.7 GB for G and 4.9 GB for D, each forward and backward, on an H200
(docs/ops.md): 2.0 and 1.0 times the feature maps that are kept. Both are there at once where G learns. A matter's 1.3
times are assumed.
"""

from __future__ import annotations

from collections.abc import Iterable

from loop.engine.step import Step
from loop.forecast.seconds import StepSeconds

FLOAT = 4
OVERHEAD = 1.0e9
"""Of a process: torch and its libraries, CUDA's context or the pictures in the cache."""
G_KEPT, D_KEPT, MATTER_KEPT = 2.0, 1.0, 1.3
PIXEL = {"rgba": 1.5, "rgb": 1.2, "alpha": 0.2}
"""Bytes a pixel of a PNG: those of one quickstart, where photos are drawn; noisier ones take more."""
PLAIN = {"rgb": 3.0, "alpha": 1.0}
"""Of the PPM and PGM files of pictures that keep their own shape."""


def fit_memory(costs: StepSeconds, step: Step) -> float:
    """Bytes at the peak of a fit on each device, with those that are fitted beside it there."""
    return _fit_memory(costs, step) * costs.rivals(step)


def _fit_memory(costs: StepSeconds, step: Step) -> float:
    config = costs.config
    if step.stage == "fit_generator":
        G, D, each = costs.generator, costs.discriminator, config.generator.fit.batch / costs.devices
        maps = FLOAT * each * (G_KEPT * G.kept + D_KEPT * D.kept)
        return maps + FLOAT * (5 * G.parameters + 4 * D.parameters) + OVERHEAD
    fit = config.matter.later if step.round else config.matter.first
    half = 0.5 if config.launch.precision == "bf16-mixed" else 1.0
    maps = FLOAT * half * MATTER_KEPT * fit.batch / costs.devices * costs.matter.kept
    return maps + FLOAT * 5 * costs.matter.parameters + OVERHEAD


def disk(costs: StepSeconds, steps: Iterable[Step]) -> float:
    """Bytes of all results of these steps, if `label` keeps every photo and `select` every pair."""
    return sum(_disk(costs, step) for step in steps)


def _disk(costs: StepSeconds, step: Step) -> float:
    config, pixels, kept = costs.config, costs.config.data.size**2, costs.pictures.kept
    photo = PLAIN if config.data.max_side else PIXEL
    generator = FLOAT * (2 * costs.generator.parameters + costs.discriminator.parameters)
    photos = costs.pictures.photos.get(step.domain or "", 0)
    real = photos + costs.pictures.labelled.get(step.domain or "", 0)
    extra = photo["rgb"] + 2 * photo["alpha"] if step.stage == "label" and step.config["targets"] else 0.0
    return {
        "prepare": kept * (costs.pictures.total * photo["rgb"] + _labelled(costs) * (photo["rgb"] + photo["alpha"]))
        + kept * costs.pictures.masked * (photo["rgb"] + 2 * photo["alpha"]),
        "label": pixels * real * PIXEL["rgba"] + kept * photos * extra,
        "evaluate": kept * sum(costs.pictures.heldout.values()) * (PIXEL["rgb"] + 2 * PIXEL["alpha"]),
        "fit_generator": config.generator.fit.snapshots * generator,
        "select_generator": generator,
        "synthesize": config.synthesize.count_in(step.round) * pixels * PIXEL["rgba"],
        "draw_pairs": config.synthesize.count_in(step.round) * pixels * PIXEL["rgba"],
        "refine_cutouts": pixels * real * PIXEL["rgba"],
        "refine_pairs": config.synthesize.count_in(step.round) * pixels * PIXEL["rgba"],
        "select": _kept(costs, step) * pixels * PIXEL["rgba"],
        "fit_matter": FLOAT * costs.matter.parameters,
        "accept": FLOAT * costs.matter.parameters,
    }.get(step.stage, 0.0)


def _labelled(costs: StepSeconds) -> int:
    """Pictures with an alpha, held-out ones and extra subjects among them: they have a foreground, too."""
    return costs.pictures.extra + sum(costs.pictures.labelled.values()) + sum(costs.pictures.heldout.values())


def _kept(costs: StepSeconds, step: Step) -> int:
    drawn, keep = costs.config.synthesize.count_in(step.round), costs.config.select.keep
    return min(drawn, keep) if keep else drawn
