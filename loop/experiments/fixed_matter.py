"""Held-out errors of one matter on pictures as they are and on enhanced ones, and of the matter that learned after it.

The fixed matter is the one that round 0 accepted: the generators of round 1 learned from its labels, no held-out
picture did. Enhancing a photo asks no truth (`loop.fitting.enhancement`): the truth only measures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.experiments.experiment import Measured
from loop.experiments.measures import heldout

if TYPE_CHECKING:
    from torch import Tensor

    from loop.config.schema import EnhancementConfig
    from loop.fitting.enhancement import Enhancer

PICTURES = 8
"""Held-out pictures of each domain that are enhanced: each takes seconds."""
BATCH = 8
FIXED, GUARDED, LABEL, RETRAINED = "fixed matter", "fixed matter, guarded", "consensus", "round 1"


def fixed_and_retrained(run_dir: Path) -> Measured:
    """SAD of round 0's matter on held-out pictures, plain where the run enhances nothing, and of round 1's.

    Groups of each domain: "fixed matter" (its alpha of the picture), "fixed matter, guarded" (the plain alpha where the
    gate refuses the pair), "consensus" (the label that a pair would have), "round 1" (the matter that learned after it,
    on all held-out pictures). Where pictures are enhanced also entropy outside the band, and 1 where the gate refuses.
    """
    from loop.config.load import load_config

    retrained = {group: rows for group, rows in heldout(run_dir).items() if group.endswith(f", {RETRAINED}")}
    config = load_config(run_dir / "config.yaml")
    found: Measured = {}
    for domain in config.data.domains:
        found |= of_domain(run_dir, domain, config.enhance)
    return found | retrained


def is_asked(group: str) -> bool:
    """What the plot and the sentences are about."""
    return group.endswith((f", {FIXED}", f", {GUARDED}", f", {RETRAINED}"))


def of_domain(run_dir: Path, domain: str, asked: EnhancementConfig) -> Measured:
    """The groups of one domain that `fixed_and_retrained` names, but for what learned after it."""
    import torch

    from loop.fitting.enhancement import enhancer_of
    from loop.pools import content, data_rows
    from stylematte.imagefile import read_alpha, read_rgb
    from stylemattegan.networks.weights import is_generator

    rounds = run_dir / "rounds"
    data, generator = rounds / "00" / "prepare", rounds / "01" / domain / "select_generator"
    rows = data_rows(data, "heldout", domain)[:PICTURES]
    if not rows or not is_generator(generator):
        return {}
    matter = rounds / "00" / "accept"
    enhancer = enhancer_of(matter, generator, move=asked.move, invert=asked.invert, gate=asked.gate)
    found: Measured = {}
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        pictures = torch.stack([read_rgb(data / row["image"]) for row in part])
        alphas = _enhanced(enhancer, pictures) if domain in asked.domains() else _plain(enhancer, pictures)
        for index, row in enumerate(part):
            truth = content(read_alpha(data / row["alpha"]), row)
            for name, values in alphas.items():
                scores = {"SAD": float((content(values["alpha"][index], row) - truth).abs().sum() / 1000)}
                scores |= {key: float(value[index]) for key, value in values.items() if key != "alpha"}
                found.setdefault(f"{domain}, {name}", {})[row["id"]] = scores
    return found


def _plain(enhancer: Enhancer, pictures: Tensor) -> dict[str, dict[str, Any]]:
    import torch

    with torch.no_grad():
        alpha = enhancer.matter(pictures).alpha
    return {name: {"alpha": alpha} for name in (FIXED, GUARDED, LABEL)}


def _enhanced(enhancer: Enhancer, pictures: Tensor) -> dict[str, dict[str, Any]]:
    import torch

    found, _, numbers = enhancer.photos(pictures)
    verdicts = enhancer.judged(found, numbers)
    refused = torch.tensor([float(verdict.reason is not None) for verdict in verdicts])
    guarded = torch.where(refused.view(-1, 1, 1, 1) > 0, found.plain, found.matte)
    label = torch.stack([verdict.label for verdict in verdicts])
    return {
        FIXED: {"alpha": found.matte, "entropy": found.after.entropy},
        GUARDED: {"alpha": guarded, "refused": refused},
        LABEL: {"alpha": label},
    }
