"""What in a run asks for a decision of its user, each with a cure: the block "Needs you" of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from loop.report.data import Run
from loop.report.formats import num
from loop.report.templates import render

FEW_PAIRS = 0.1
"""Share of the candidates; below it a round's pairs are few."""
SATURATED = 0.98
"""Mean sign of D on real pictures over the last quarter of a fit: near 1 it tells every one, and G learns nothing."""
REFUSED = 2
"""Refused rounds in a row."""
ROUNDS_OF_DISK = 2
NOTE = "What the numbers of this run ask of you, and what usually helps. Nothing here has stopped the run."


class Need(NamedTuple):
    what: str
    cure: str


def needs(run: Run) -> list[Need]:
    """In order of weight."""
    return [*_worthless(run), *_refused(run), *_few_pairs(run), *_fits(run), *_left_out(run), *_disk(run)]


def needs_section(run: Run) -> Markup:
    """ "" where nothing is wrong."""
    found = needs(run)
    return render("needs.html", note=NOTE, needs=found) if found else Markup("")


def _worthless(run: Run) -> Iterator[Need]:
    best = run.best
    for domain, score in best.scores.items() if best is not None else ():
        sad = score.get("SAD")
        for key, name in (("zero_SAD", "an empty matte"), ("constant_SAD", "the best constant matte")):
            floor = score.get(key)
            if sad is not None and floor is not None and sad >= floor:
                yield Need(
                    f"{domain}: the best matter (SAD {num(sad)}) is no better than {name} ({num(floor)})",
                    "It has not learned this domain: give it labelled pictures, or raise matter.first.steps.",
                )
                break


def _refused(run: Run) -> Iterator[Need]:
    count = 0
    for round_ in reversed(run.decided):
        if round_.accepted:
            break
        count += 1
    if count >= REFUSED:
        yield Need(
            f"the last {count} rounds were refused",
            "More rounds of the same kind seldom help: look at the verdicts and the kept pairs; accept.stop_after="
            f"{count} would have stopped here.",
        )


def _few_pairs(run: Run) -> Iterator[Need]:
    newest = next((round_ for round_ in reversed(run.rounds) if round_.pairs), None)
    for domain, sieve in newest.pairs.items() if newest is not None else ():
        if sieve.total and sieve.kept < FEW_PAIRS * sieve.total:
            rule = next(iter(sieve.refused), "nothing")
            assert newest is not None, "it has pairs"
            yield Need(
                f"{domain}: round {newest.number} kept {sieve.kept} of {sieve.total} pairs (most refused by: {rule})",
                "Look at the generated cut-outs: if they are poor, raise generator.fit.steps; if they are good, "
                "loosen select (max_disagreement, max_similarity).",
            )


def _fits(run: Run) -> Iterator[Need]:
    """Of the newest round of each generator's fit."""
    for fit, by_round in run.curves.items():
        number = max(by_round)
        curves = by_round[number]
        p = [y for _, y in curves.get("ada/p", [])]
        if run.augmentation_cap is not None and p and p[-1] >= run.augmentation_cap - 1e-6:
            yield Need(
                f"{fit}, round {number}: augmentation is at its cap (p = {num(p[-1])})",
                "The discriminator knows its training set by heart: more cut-outs help most (more photos, a lower "
                "label.min_confidence).",
            )
        signs = [y for _, y in curves.get("D/sign_real", [])]
        tail = signs[-max(1, len(signs) // 4) :]
        if len(signs) >= 8 and sum(tail) / len(tail) > SATURATED:
            yield Need(
                f"{fit}, round {number}: the discriminator is saturated (sign {num(sum(tail) / len(tail))} of 1)",
                "The generator gets no useful gradient: raise generator.fit.r1_gamma or lower generator.fit.dlr.",
            )


def _left_out(run: Run) -> Iterator[Need]:
    if run.left_out:
        first = run.left_out[0]
        yield Need(
            f"{len(run.left_out)} pictures were left out, such as {first.file}: {first.reason}",
            "The section Data lists them; `stylematte data check` names what is wrong with each.",
        )


def _disk(run: Run) -> Iterator[Need]:
    if run.free_bytes is not None and run.used_bytes and run.free_bytes < ROUNDS_OF_DISK * run.used_bytes:
        yield Need(
            f"{run.free_bytes / 1e9:.1f} GB of disk are free; a round takes {run.used_bytes / 1e9:.1f} GB",
            "`stylematte gc` removes results that no configuration needs any more.",
        )
