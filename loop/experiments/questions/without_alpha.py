"""What labels short of an alpha are worth: the same pictures, network and steps under different supervision.

    stylematte experiment without-alpha [CONFIG] [data.root=FOLDER] [--seeds 3]

Each arm is round 0 of a run with the small Swin of configs/small.yaml: alphas as they are, or cut down to hard
masks (data.weaken) that are believed to the pixel or become trimaps. Photos stay on their own background. With a root
of your own, rows of kind mask are learned from in the arms of masks and trimaps alone: leave them out of the manifest,
or the arms see different pictures. docs/without-alpha.md has what an earlier form of it found.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment
from loop.experiments.measures import edges

ALPHAS = ("data.learn_from={portraits: [alpha, pseudo-alpha], animals: [alpha, pseudo-alpha]}",)
MASKS = ("data.weaken=[portraits, animals]", "data.learn_from={portraits: [mask], animals: [mask]}")
TRIMAPS = (*MASKS, "data.mask_as=trimap", "matter.first.losses.known=1")
PAPER = ("matter.first.ddc.border=zero", "matter.first.ddc.region=all", "matter.first.ddc.warmup=0")


def consistent(variant: str, weight: float, *words: str) -> tuple[str, ...]:
    """Trimaps with a directional distance consistency loss in the unknown region."""
    return (*TRIMAPS, f"matter.first.losses.ddc={weight}", f"matter.first.ddc.variant={variant}", *words)


EXPERIMENT = Experiment(
    name="without-alpha",
    question="What are labels short of an alpha worth?",
    settings=(
        *("run.rounds=0", "matter.first.steps=150", "matter.first.tick=50", "matter.first.batch=8"),
        *("matter.first.lr=0.002", "matter.first.warmup=25", "matter.first.ema=0.98"),
        "matter.first.new_background=0",
    ),
    arms={
        "alpha": ALPHAS,
        "alpha-new-backgrounds": (*ALPHAS, "matter.first.new_background=0.5"),
        "mask-as-alpha": (*MASKS, "data.mask_as=alpha"),
        "known-only": consistent("ddc", 0),
        "ddc-2": consistent("ddc", 2),
        "ddc-10": consistent("ddc", 10),
        "scaled-2": consistent("scaled", 2),
        "hinge-2": consistent("hinge", 2),
        "closed-form": (*consistent("ddc", 0), "matter.first.losses.closed_form=0.5"),
        "paper": consistent("ddc", 10, *PAPER),
    },
    control="alpha",
    measure=edges,
    headline="SAD-T",
    until="evaluate",
)
