"""Paired bootstrap of the change in per-picture errors from one matter to another, and the verdict drawn from it.

"The mean is better" promotes noise in almost every run of a few rounds. Held-out errors have heavy tails, and the same
pictures are hard for every matter; so pictures are resampled in pairs, and the interval of the change decides, not
the change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEW = 10
UNKNOWN = 10.0
"""+1000 %: the largest change given, and the upper end where nothing is known."""


@dataclass(frozen=True)
class Interval:
    """How the mean error moved from `best` to `new`: relative_change = (new - best) / best, negative is better.

    low and high bound it (see `paired_bootstrap`). n is the number of pictures.
    """

    mean_new: float
    mean_best: float
    relative_change: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """Whether the new matter replaces the best one, and why, in one sentence with its numbers."""

    accepted: bool
    reason: str


def paired_bootstrap(
    new: Mapping[str, float],
    best: Mapping[str, float],
    resamples: int = 10000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The relative change of the mean error with a two-sided percentile interval (Efron and Tibshirani 1993, ch. 13).

    new, best: picture id -> error, for the same pictures. Each resample draws n pictures with replacement and takes
    both mattes of each, so what makes a picture hard cancels. A pure function of its arguments; the order of the ids
    does not matter. With fewer than 10 pictures resampling gives intervals that are far too narrow; Student's t on the
    paired differences takes its place. One picture says nothing: the interval is -100 % to +1000 %.

    Raises ValueError when the pictures differ, none is left, an error is not finite, or confidence is not in (0, 1).
    """
    _check(new, best, resamples, confidence)
    ids = sorted(new)
    errors = np.array([[new[i] for i in ids], [best[i] for i in ids]], dtype=np.float64)
    mean_new, mean_best = errors.mean(axis=1)
    change = float(_relative(mean_new, mean_best))
    low = high = change
    if len(ids) == 1:
        low, high = -1.0, UNKNOWN
    elif len(ids) < FEW:
        low, high = _t_interval(errors, confidence)
    else:
        changes = _resample(errors, resamples, np.random.default_rng(seed))
        tail = (1 - confidence) / 2
        # An observed order statistic, not a blend of two: changes may be infinite where a resample of best is all 0.
        low = float(np.quantile(changes, tail, method="lower"))
        high = float(np.quantile(changes, 1 - tail, method="higher"))
    change, low, high = (min(value, UNKNOWN) for value in (change, low, high))
    return Interval(float(mean_new), float(mean_best), change, low, high, len(ids))


def decide(
    vs_best: Mapping[str, Interval],
    vs_first: Mapping[str, Interval] | None,
    margin: float,
    must_improve: Sequence[str] = (),
) -> Verdict:
    """The verdict from each domain's change against the best matter so far and against the first one.

    Not worse: the upper end of every interval, against both, is at most `margin`. The first matter is in the rule so
    that a row of small losses, each within the margin, cannot add up. Improved: in the domains of `must_improve` the
    upper end against the best is below 0.
    """
    if not vs_best:
        return Verdict(False, "Refused: no held-out picture with a truth was measured, so nothing can be shown.")
    refusals = [f"no held-out picture of {name}, which must improve" for name in must_improve if name not in vs_best]
    for name, change in sorted(vs_best.items()):
        if not change.high <= margin:
            refusals.append(f"{name} may be worse than the best so far: {_numbers(change)}, limit {margin:+.1%}")
        elif name in must_improve and not change.high < 0:
            refusals.append(f"{name} must improve and is not shown to: {_numbers(change)}")
    for name, change in sorted((vs_first or {}).items()):
        if not change.high <= margin:
            refusals.append(f"{name} may be worse than in the first round: {_numbers(change)}, limit {margin:+.1%}")
    if refusals:
        return Verdict(False, f"Refused: {'; '.join(refusals)}.")
    found = "; ".join(f"{name} {_word(change)}, {_numbers(change)}" for name, change in sorted(vs_best.items()))
    return Verdict(True, f"Accepted: {found}.")


def _check(new: Mapping[str, float], best: Mapping[str, float], resamples: int, confidence: float) -> None:
    if new.keys() != best.keys():
        odd = sorted(new.keys() ^ best.keys())
        raise ValueError(
            f"new and best were measured on different pictures ({len(odd)} are in one only, such as {odd[0]!r}); "
            "evaluate both on the same held-out set"
        )
    if not new:
        raise ValueError("no picture to compare; the held-out set of this domain is empty")
    for which, errors in (("new", new), ("best", best)):
        for name, error in errors.items():
            if not math.isfinite(error) or error < 0:
                raise ValueError(f"the {which} matter's error on {name!r} is {error}, expected a finite number >= 0")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"resamples={resamples} must be at least 1 and confidence={confidence} between 0 and 1")


def _resample(errors: np.ndarray, resamples: int, rng: np.random.Generator, block: int = 1_000_000) -> np.ndarray:
    """errors (2, n) -> relative changes (resamples,), a block at a time so that memory stays small."""
    n = errors.shape[1]
    rows = max(1, block // n)
    parts = []
    for start in range(0, resamples, rows):
        picks = rng.integers(0, n, size=(min(rows, resamples - start), n))
        parts.append(_relative(errors[0][picks].mean(axis=1), errors[1][picks].mean(axis=1)))
    return np.concatenate(parts)


def _t_interval(errors: np.ndarray, confidence: float) -> tuple[float, float]:
    """Student's t interval of the mean paired difference, relative to the mean error of best."""
    from scipy.stats import t

    differences, mean_best = errors[0] - errors[1], errors[1].mean()
    n = len(differences)
    reach = t.ppf((1 + confidence) / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n)
    low, high = (float(_relative(mean_best + differences.mean() + side, mean_best)) for side in (-reach, reach))
    return max(low, -1.0), high


def _relative(new: np.ndarray, best: np.ndarray) -> np.ndarray:
    """(new - best) / best, with 0 -> 0 counted as no change and 0 -> something as infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(new == best, 0.0, (np.asarray(new) - best) / best)


def _word(change: Interval) -> str:
    if change.high < 0:
        return "improved"
    return "did not change" if change.low == change.high == 0 else "is not worse"


def _numbers(change: Interval) -> str:
    moved = f"SAD {change.mean_best:.4g} to {change.mean_new:.4g} ({change.relative_change:+.1%}"
    if change.n < 2:
        return f"{moved}; one picture shows nothing)"
    return f"{moved}, interval {change.low:+.1%} to {change.high:+.1%}, n={change.n})"
