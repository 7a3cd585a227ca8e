"""What a better teacher is worth: labels of photos from more views of the accepted matter, and sharpened ones.

    stylematte experiment teacher [CONFIG] [data.root=FOLDER] [--seeds 3]

All arms but the last learn from the same photos and their cut-outs (no generator) in as many steps; they differ in how
`label` makes the alphas. `both-fresh` begins each fit with new weights; `no-photos` is `loop-vs-real`'s control.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment, Pair
from loop.experiments.measures import heldout
from loop.experiments.questions.loop_vs_real import ALONE, is_last, roads

PHOTOS = roads(photos=1, cutouts=1)
BOTH = ("label.ensemble=true", "label.sharpen=1.5")

EXPERIMENT = Experiment(
    name="teacher",
    question="What is a better teacher of the photos worth?",
    config="configs/loop-vs-real.yaml",
    settings=("accept.margin=1000", "tracking.wandb=disabled"),
    arms={
        "two-views": PHOTOS,
        "ensemble": (*PHOTOS, BOTH[0]),
        "sharpened": (*PHOTOS, BOTH[1]),
        "both": (*PHOTOS, *BOTH),
        "both-fresh": (*PHOTOS, *BOTH, "matter.later.start=fresh"),
        "no-photos": ALONE,
    },
    control="two-views",
    measure=heldout,
    also=(Pair("two-views", "no-photos"), Pair("both", "no-photos"), Pair("both-fresh", "both")),
    shown=is_last,
)
