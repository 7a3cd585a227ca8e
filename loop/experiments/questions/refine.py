"""Is a matter that learns from refined and selected pairs better than one that learns from them as they were drawn?

    stylematte experiment refine [CONFIG] [data.root=FOLDER] [--seeds 3] [--at-once N]

All arms have the same generators, pictures and steps. `raw` learns from all that was drawn; `selected` from what
`select` keeps; `refined` from what `refine_pairs` mends and does not refuse; `refined-and-selected` from what both
keep. Pairs join real pictures in round 1, no photo does, and no held-out picture decides anything.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment, Pair
from loop.experiments.measures import heldout
from loop.experiments.questions.capacity import after_round_1
from loop.experiments.questions.loop_vs_real import KEEP_ALL, roads

RAW, SELECTED, REFINED, BOTH = "raw", "selected", "refined", "refined-and-selected"
REFINE = ("refine.pairs=[portraits,animals]",)
ARMS = {RAW: KEEP_ALL, SELECTED: (), REFINED: (*REFINE, *KEEP_ALL), BOTH: REFINE}
SETTINGS = ("run.rounds=1", "accept.margin=1000", "tracking.wandb=disabled", *roads(pairs=1))
ALSO = (Pair(BOTH, SELECTED), Pair(BOTH, REFINED))

EXPERIMENT = Experiment(
    name="refine",
    question="What do refining and selecting generated pairs add in as many steps?",
    config="configs/loop-vs-real.yaml",
    settings=SETTINGS,
    arms={**ARMS, "cutouts-too": (*REFINE, "refine.cutouts=[portraits,animals]")},
    control=RAW,
    measure=heldout,
    until="evaluate",
    shown=after_round_1,
    also=ALSO,
)
