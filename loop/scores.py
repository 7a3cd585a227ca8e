"""Held-out scores, picture by picture: which pictures decide about a domain, and which round's matter is the best.

The best round is the one whose matter leaves the run. It is never worse than round 0, by construction: a round counts
only if its mean SAD is at most round 0's in every domain, and of those that count (round 0 always does) the one with
the lowest mean over the domains of SAD relative to round 0's is the best, the earlier of two equals. The gate's margin
does not enter: it says which matter the loop goes on with, not which one goes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from loop.pools import Row

SCORES = "per_picture.jsonl"
TRUSTED = 8  # with fewer pictures of kind alpha, pseudo-alpha ones join the decision


def deciding(scores: Sequence[Row], domain: str) -> set[str]:
    """The ids of the held-out pictures that decide about this domain."""
    here = [row for row in scores if row["domain"] == domain]
    trusted = {row["id"] for row in here if row["kind"] == "alpha"}
    return trusted if len(trusted) >= TRUSTED else {row["id"] for row in here}


def errors(scores: Sequence[Row], ids: set[str]) -> dict[str, float]:
    """Picture id -> SAD, of these pictures."""
    return {row["id"]: row["SAD"] for row in scores if row["id"] in ids}


def relative_sad(scores: Sequence[Row], first: Sequence[Row], domains: Sequence[str]) -> dict[str, float]:
    """Each domain's mean SAD divided by that of round 0 (`first`) on the pictures that decide; 1 where both are 0."""
    relative = {}
    for domain in domains:
        ids = deciding(first, domain)
        new, old = (math.fsum(errors(rows, ids).values()) for rows in (scores, first))
        relative[domain] = 1.0 if new == old else new / old if old else math.inf
    return relative


def overall(relative: Mapping[str, float]) -> float:
    """The mean over domains of `relative_sad`; infinite if any domain is worse than in round 0."""
    if any(value > 1 for value in relative.values()):
        return math.inf
    return sum(relative.values()) / len(relative) if relative else 1.0


def best_round(rounds: Mapping[int, Sequence[Row]], domains: Sequence[str]) -> int:
    """Of rounds with their scores, 0 among them, the best one as the head of this file says."""
    return min(sorted(rounds), key=lambda number: overall(relative_sad(rounds[number], rounds[0], domains)))
