"""What can be measured in a finished run folder: held-out errors of its matters, and of their edges alone."""

from __future__ import annotations

from pathlib import Path

from loop.experiments.experiment import Measured
from stylematte.jsonl import read_jsonl

FIGURES = ("SAD", "MSE", "Grad", "Conn")
EDGE = 2
"""Pixels around what is neither 0 nor 1 in the truth that count as its edge."""


def heldout(run_dir: Path) -> Measured:
    """SAD, MSE, Grad, Conn of every held-out picture, by domain: each round's candidate, and the accepted matter.

    Groups: "DOMAIN, round R" for each round that was evaluated, "DOMAIN, accepted" for the last accepted matter.
    """
    found: Measured = {}
    for file in sorted(run_dir.glob("rounds/[0-9][0-9]/evaluate/per_picture.jsonl")):
        for row in read_jsonl(file):
            group = f"{row['domain']}, round {int(file.parts[-3])}"
            found.setdefault(group, {})[row["id"]] = {key: row[key] for key in FIGURES}
    for file in sorted(run_dir.glob("rounds/[0-9][0-9]/accept/per_picture.jsonl"))[-1:]:
        for row in read_jsonl(file):
            found.setdefault(f"{row['domain']}, accepted", {})[row["id"]] = {key: row[key] for key in FIGURES}
    return found


def edges(run_dir: Path) -> Measured:
    """Round 0's matter on the held-out pictures of each domain: SAD-T and MAD-T at the truth's edges, SAD of the whole.

    The edge is what lies within 2 pixels of an alpha between .02 and .98; the known rest is set before SAD-T and MAD-T.
    """
    from stylematte.imagefile import read_alpha
    from stylematte.metrics import score_pair
    from stylematte.rgba import trimap_from_alpha

    found: Measured = {}
    evaluated = run_dir / "rounds" / "00" / "evaluate"
    for row in read_jsonl(evaluated / "per_picture.jsonl"):
        predicted, truth = (read_alpha(evaluated / row[key]) for key in ("prediction", "truth"))
        planes = [plane[0].numpy() for plane in (predicted, truth, trimap_from_alpha(truth[None], EDGE)[0])]
        found.setdefault(row["domain"], {})[row["id"]] = score_pair(
            planes[0], planes[1], planes[2], ("SAD-T", "MAD-T", "SAD")
        )
    return found
