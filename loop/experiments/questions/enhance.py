"""Whether a matter mattes enhanced pictures better, and learns more from enhanced pairs (arXiv 2208.06601).

    stylematte experiment enhance [CONFIG] [--seeds 3]

Two questions in one set of runs. One matter that stays as it is (round 0's) on held-out pictures, as they are in `off`,
enhanced in the other arms. And matters that learned in as many steps without and with enhanced pseudo ground truth,
from the same generators, pairs and photos. A run ends with the evaluation of round 1, so held-out pictures measure and
decide nothing.
"""

from __future__ import annotations

from loop.experiments.experiment import Experiment, Pair
from loop.experiments.fixed_matter import fixed_and_retrained, is_asked

DOMAINS = "[portraits,animals]"

EXPERIMENT = Experiment(
    name="enhance",
    question="Are enhanced pictures matted better, and do matters learn more from enhanced pairs in as many steps?",
    config="configs/quickstart.yaml",
    settings=("run.rounds=1", "run.control=false", "tracking.wandb=disabled"),
    arms={
        "off": ("enhance.generated=[]", "enhance.real=[]"),
        "generated": (f"enhance.generated={DOMAINS}", "enhance.real=[]"),
        "generated-and-photos": (f"enhance.generated={DOMAINS}", f"enhance.real={DOMAINS}"),
    },
    control="off",
    measure=fixed_and_retrained,
    until="evaluate",
    shown=is_asked,
    also=(Pair("generated-and-photos", "generated"),),
)
