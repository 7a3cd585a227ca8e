"""The question of `refine`, of pairs whose faults are known: drawn cut-outs with the artefacts of layer diffusion.

    stylematte experiment refine-spoilt [CONFIG] [--seeds 3] [--at-once N]

In the generator's place are drawn cut-outs, three in four with one or two artefacts in their alpha
(`stylematte.refine.artefacts.spoil`). `clean` learns from the same cut-outs without any: the most that refining and
selecting could reach. It needs drawn pictures.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment, Pair
from loop.experiments.measures import heldout
from loop.experiments.questions.capacity import after_round_1
from loop.experiments.questions.loop_vs_real import KEEP_ALL
from loop.experiments.questions.refine import ALSO, ARMS, BOTH, RAW, SETTINGS

CLEAN = "clean"

EXPERIMENT = Experiment(
    name="refine-spoilt",
    question="What do refining and selecting add to pairs with the artefacts of layer diffusion in as many steps?",
    config="configs/loop-vs-real.yaml",
    settings=SETTINGS,
    arms={
        **{arm: ("synthesize.source=spoilt", *words) for arm, words in ARMS.items()},
        CLEAN: ("synthesize.source=drawn", *KEEP_ALL),
    },
    control=RAW,
    measure=heldout,
    until="evaluate",
    shown=after_round_1,
    also=(*ALSO, Pair(BOTH, CLEAN)),
)
