"""Which of the matter's networks learns most from the same pictures in the same number of steps.

    stylematte experiment matter-variants [CONFIG] [data.root=FOLDER] [--seeds 3]

Small networks on the small Swin of configs/small.yaml, from random weights, round 0 alone. "detail-trimap" is
shown a trimap in half of its samples, and measured without one and ("..., given a trimap") with one. It compares how
fast they learn; nothing follows for pretrained encoders at full size. docs/matter-variants.md has what an earlier form
of it found.
"""

from __future__ import annotations

import json
from pathlib import Path

from loop.experiments.experiment import Experiment, Measured
from loop.experiments.measures import EDGE, edges
from stylematte.jsonl import read_jsonl


def with_and_without_trimap(run_dir: Path) -> Measured:
    """`edges`, and for a network that learned to use a trimap the same with the truth's edges given."""
    found = edges(run_dir)
    config = json.loads((run_dir / "rounds" / "00" / "fit_matter" / "stage.json").read_text())["config"]
    return found | (_given_a_trimap(run_dir) if found and config["fit"]["trimap_shown"] else {})


def _given_a_trimap(run_dir: Path) -> Measured:
    from stylematte.imagefile import read_alpha, read_rgb
    from stylematte.inference.predict import predict
    from stylematte.metrics import score_pair
    from stylematte.networks.weights import load_matter
    from stylematte.rgba import trimap_from_alpha

    network = load_matter(run_dir / "rounds" / "00" / "fit_matter")
    evaluated = run_dir / "rounds" / "00" / "evaluate"
    found: Measured = {}
    for row in read_jsonl(evaluated / "per_picture.jsonl"):
        truth = read_alpha(evaluated / row["truth"])
        trimap = trimap_from_alpha(truth[None], EDGE)[0]
        predicted = predict(network, read_rgb(evaluated / row["photo"]), trimap)
        planes = [plane[0].numpy() for plane in (predicted, truth, trimap)]
        group = found.setdefault(f"{row['domain']}, given a trimap", {})
        group[row["id"]] = score_pair(planes[0], planes[1], planes[2], ("SAD-T", "MAD-T", "SAD"))
    return found


DETAIL = ("matter.network.variant=detail", "matter.network.detail_channels=8")

EXPERIMENT = Experiment(
    name="matter-variants",
    question="Which of the matter's networks learns most from the same pictures in the same number of steps?",
    settings=(
        *("run.rounds=0", "matter.network.channels=64"),
        *("matter.first.steps=250", "matter.first.tick=50", "matter.first.batch=8"),
        *("matter.first.lr=0.001", "matter.first.warmup=25", "matter.first.ema=0.98"),
    ),
    arms={
        "fpn": ("matter.network.variant=fpn",),
        "released": (
            *("matter.network.variant=released", "matter.network.encoder_layers=3"),
            "matter.network.feedforward=256",
        ),
        "detail": DETAIL,
        "detail-trimap": (*DETAIL, "matter.first.trimap_shown=0.5"),
    },
    control="released",
    measure=with_and_without_trimap,
    headline="SAD-T",
    until="evaluate",
)
