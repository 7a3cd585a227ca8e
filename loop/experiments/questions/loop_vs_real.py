"""What the loop's roads from unlabelled photos are worth against real pictures alone, in as many steps.

    stylematte experiment loop-vs-real [CONFIG] [data.root=FOLDER] [--seeds 3] [--at-once N]

Every arm makes as many optimizer steps on as many pictures in every round, and none is decided by the held-out ones:
the gate accepts every matter that did not diverge, so they measure and nothing else. The control is what can be had of
the labels without any photo: real pictures, also on new backgrounds. Two oracles say how far a road could lead; they
need drawn pictures (leave them out with --arms, given a root). docs/experiments.md has the arms in words.
"""

from __future__ import annotations

from collections.abc import Sequence

from loop.experiments.experiment import Experiment, Pair, Row
from loop.experiments.measures import heldout

CONTROL, LOOP = "new-backgrounds", "all-roads"
ALONE = ("matter.later.real_weight=1",)
REFINED = "refine.pairs=[portraits,animals]"
KEEP_ALL = (
    *("select.max_disagreement=1", "select.min_foreground=0", "select.max_foreground=1"),
    *("select.min_body=0", "select.max_similarity=1"),
)


def roads(photos: float = 0, cutouts: float = 0, pairs: float = 0) -> tuple[str, ...]:
    """Relative weights of the roads in what real pictures leave of the loss."""
    given = {"photos": photos, "cutouts": cutouts, "pairs": pairs, "trimaps": 0}
    return tuple(f"matter.later.roads.{name}={weight}" for name, weight in given.items())


ALL = roads(photos=1, cutouts=1, pairs=1)


def is_last(group: str) -> bool:
    """Whether a group of `heldout` is the matter that a run ends with."""
    return group.endswith(", accepted")


def conclude(rows: Sequence[Row]) -> list[str]:
    """Plain answers to what is asked of the loop and its pairs, from the SAD of what the runs end with."""
    asked = (
        ((LOOP, CONTROL), "The whole loop against real pictures on new backgrounds"),
        (("pairs", "cutouts"), "The generator's pairs against the cut-outs that it learned from"),
        ((LOOP, "photos-and-cutouts"), "The whole loop against the same without a generator"),
        (("all-roads-refined", "photos-and-cutouts"), "The whole loop with refined pairs against the same"),
    )
    found = []
    for pair, what in asked:
        here = [row for row in rows if (row.arm, row.against) == pair and row.metric == "SAD" and is_last(row.group)]
        if here:
            found.append(f"{what}: {_answer(here)}.")
    return found


def _answer(rows: Sequence[Row]) -> str:
    """rows: of one pair of arms, a row for each domain."""
    better, worse, neither = list[str](), list[str](), list[str]()
    for row in rows:
        assert row.change is not None
        assert row.low is not None
        assert row.high is not None
        domain = f"{row.group.removesuffix(', accepted')} ({row.change:+.1%})"
        (better if row.high < 0 else worse if row.low > 0 else neither).append(domain)
    verdicts = (
        ("lower SAD beyond the interval", better),
        ("higher SAD beyond the interval", worse),
        ("no difference shown", neither),
    )
    return "; ".join(f"{verdict} in {' and '.join(domains)}" for verdict, domains in verdicts if domains)


EXPERIMENT = Experiment(
    name="loop-vs-real",
    question="What do unlabelled photos and generators add to the same labels in as many steps?",
    config="configs/loop-vs-real.yaml",
    settings=("accept.margin=1000", "tracking.wandb=disabled", "refine.pairs=[]"),
    # Those without a generator first: they are made in a few minutes each.
    arms={
        "real": (*ALONE, "matter.first.new_background=0", "matter.later.new_background=0"),
        CONTROL: ALONE,
        "photos": roads(photos=1),
        "cutouts": roads(cutouts=1),
        "photos-and-cutouts": roads(photos=1, cutouts=1),
        "oracle-photos": (*ALONE, "data.drawn.oracle=true"),
        "oracle-pairs": (*roads(pairs=1), *KEEP_ALL, "synthesize.source=drawn"),
        "pairs": roads(pairs=1),
        "pairs-unselected": (*roads(pairs=1), *KEEP_ALL),
        "pairs-refined": (*roads(pairs=1), REFINED),
        LOOP: ALL,
        "all-roads-refined": (*ALL, REFINED),
        "all-roads-latest": (*ALL, "matter.later.pools=latest"),
    },
    control=CONTROL,
    measure=heldout,
    also=(
        Pair("pairs", "cutouts"),
        Pair(LOOP, "photos-and-cutouts"),
        Pair("pairs-unselected", "pairs"),
        Pair("pairs-refined", "pairs"),
        Pair("pairs-refined", "pairs-unselected"),
        Pair("pairs-refined", "cutouts"),
        Pair("all-roads-refined", "photos-and-cutouts"),
        Pair("all-roads-refined", LOOP),
        Pair("all-roads-latest", LOOP),
        Pair("oracle-pairs", "pairs-unselected"),
    ),
    shown=is_last,
    conclude=conclude,
)
