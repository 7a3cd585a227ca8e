"""Which source of pairs teaches most at an equal budget: a generator, chroma keying, or flawless composites.

    stylematte experiment source [CONFIG] [--seeds 3]

The comparison of arXiv 2501.16147 with chroma keying, on drawn pictures: as many pairs in as many steps from the same
weights. chroma: drawn subjects before a lit screen with spill and noise, keyed. composite: the same kind of subjects
with their true alpha, which is the most that a source can bring. gan: what the loop's own generator drew in round 1.
Every source is selected by the same rules.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment, Pair
from loop.experiments.measures import heldout
from loop.experiments.questions.capacity import after_round_1
from loop.experiments.questions.loop_vs_real import roads

EXPERIMENT = Experiment(
    name="source",
    question="Does a generator, chroma keying or a set of composites make the better pairs in as many steps?",
    settings=("run.rounds=1", "accept.margin=1000", *roads(pairs=1)),
    arms={
        "composite": ("synthesize.source=drawn",),
        "chroma": ("synthesize.source=chroma",),
        "gan": ("synthesize.source=generator",),
    },
    control="composite",
    measure=heldout,
    until="evaluate",
    shown=after_round_1,
    also=(Pair("gan", "chroma"),),
)
