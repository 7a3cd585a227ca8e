"""Is a matter that learns from refined pairs better than one that learns from them as they were drawn?

    stylematte experiment refine [CONFIG] [data.root=FOLDER] [--seeds 3] [--at-once N]

Both arms have the same generators, pictures and steps; `on` has the alphas of the generated cut-outs refined before
`select`. The gate accepts every matter that did not diverge, so held-out pictures measure and decide nothing.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment
from loop.experiments.measures import heldout
from loop.experiments.questions.loop_vs_real import is_last, roads

EXPERIMENT = Experiment(
    name="refine",
    question="What does refining the alphas of generated pairs add?",
    config="configs/loop-vs-real.yaml",
    settings=("accept.margin=1000", "tracking.wandb=disabled", *roads(pairs=1)),
    arms={
        "off": ("refine.pairs=[]",),
        "on": ("refine.pairs=[portraits,animals]",),
        "on-cutouts-too": ("refine.pairs=[portraits,animals]", "refine.cutouts=[portraits,animals]"),
    },
    control="off",
    measure=heldout,
    shown=is_last,
)
