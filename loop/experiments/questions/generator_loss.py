"""Whether the relativistic loss fits a better generator than the logistic one in as many steps.

    stylematte experiment generator-loss [CONFIG] [data.root=FOLDER] [--seeds 2]

A run up to round 1's select_generator: the same matter labels the same cut-outs for both arms of a seed, so their
distances can be compared. A relativistic step costs about a tenth more. Measured on the selected generator: Fréchet and
kernel distance, and by how many pixels the transition of its alphas is wider or narrower than the training set's.
docs/generator-training.md has what an earlier form of it found.
"""

from __future__ import annotations

import json
from pathlib import Path

from loop.experiments.experiment import Experiment, Measured

PICTURES = 256


def selected(run_dir: Path) -> Measured:
    """Of each domain's selected generator; one value a run, so that seeds alone are its replication."""
    found: Measured = {}
    for record in sorted(run_dir.glob("rounds/01/*/select_generator/stage.json")):
        metrics = json.loads(record.read_text())["metrics"]
        values = {"Fréchet": metrics["frechet"], "KID": metrics["kid"]}
        values = {name: value for name, value in values.items() if value is not None}
        if (record.parent / "generator.json").is_file():
            values["transition"] = abs(_width(record.parent) - _real_width(record.parents[1] / "label"))
        if values:
            found[record.parts[-3]] = {"all": values}
    return found


def _width(generator: Path) -> float:
    from stylemattegan.metrics.alpha_statistics import alpha_statistics
    from stylemattegan.networks.weights import load_generator
    from stylemattegan.sample import sample

    seeds = list(range(1, PICTURES + 1))
    return alpha_statistics(sample(load_generator(generator), seeds, [1.0] * PICTURES, 32))["width"]


def _real_width(label: Path) -> float:
    import torch

    from loop.pools import kept_files
    from stylematte.imagefile import read_rgba
    from stylemattegan.metrics.alpha_statistics import alpha_statistics

    return alpha_statistics(torch.stack([read_rgba(file) for file in kept_files(label)]))["width"]


EXPERIMENT = Experiment(
    name="generator-loss",
    question="Does the relativistic loss fit a better generator than the logistic one in as many steps?",
    settings=("run.rounds=1", "generator.fit.tick=20", "generator.fit.steps=800"),
    arms={
        "logistic": ("generator.fit.loss=logistic", "generator.fit.r1_gamma=0.2", "generator.fit.r1_every=16"),
        "relativistic": ("generator.fit.loss=relativistic", "generator.fit.r1_gamma=0.5", "generator.fit.r1_every=8"),
    },
    control="logistic",
    measure=selected,
    headline="Fréchet",
    until="select_generator",
)
