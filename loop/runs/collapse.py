"""The collapse watch: which values of a finished step are beyond a threshold of `watch`, in one line with the cure.

A loop that feeds on itself collapses quietly (Alemohammad et al. 2307.01850: diversity goes first): the generator draws
one picture, or the matter calls everything foreground, and each agrees with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from loop.config.schema import WatchConfig
from loop.engine.record import StageRecord

Values = Mapping[str, Any]
FACTORS = {"area": "area", "width": "transition width", "soft": "soft share"}
PSI = "widen synthesize.psi"
WIDEN = "fit the generator longer, or again with another run.seed"
SHAPES = "look at the generator's sheet; fit it longer, or lower generator.fit.glr"
REFIT = "lower the matter's learning rate or fit it longer"


class Limit(NamedTuple):
    """A threshold and what it is held against."""

    key: str
    """Of `watch`; below it if it begins with min_, above it if with max_."""
    meaning: str
    value: float | None
    """None: not measured."""
    cure: str


def collapse(watch: WatchConfig, step: StageRecord) -> str | None:
    """The first threshold that a finished step breaks, as one line; None if it breaks none or is of a stage without."""
    for where, limits in _limits(step):
        for limit in limits:
            threshold = getattr(watch, limit.key)
            if threshold is None or limit.value is None:
                continue
            below = limit.key.startswith("min_")
            if limit.value < threshold if below else limit.value > threshold:
                word = "below" if below else "above"
                return (
                    f"{where}: collapse: {limit.meaning} is {limit.value:.3g}, {word} watch.{limit.key}={threshold}; "
                    f"{limit.cure}; watch.{limit.key}=null goes on"
                )
    return None


def _limits(step: StageRecord) -> Iterator[tuple[str, list[Limit]]]:
    if step.stage == "watch":
        yield step.step, _of_generator(step.metrics)
    elif step.stage == "label":
        yield step.step, _of_matter(step.metrics, "the photos")
    elif step.stage == "evaluate":
        for domain, values in step.metrics.items():
            yield f"{step.step} of {domain}", _of_matter(values, "held-out pictures")


def _of_generator(values: Values) -> list[Limit]:
    get = values.get
    return [
        Limit("min_truncated_spread", "the spread of the pool over that at psi 1", get("truncated_spread"), PSI),
        Limit("min_spread", "the spread of generated pictures over that of real ones", get("spread"), WIDEN),
        Limit("min_area_spread", "the spread of the subjects' areas over that of real ones", get("area_spread"), WIDEN),
        Limit("min_precision", "precision", get("precision"), SHAPES),
        Limit("min_recall", "recall", get("recall"), WIDEN),
        Limit("min_coverage", "coverage", get("coverage"), WIDEN),
        *(
            Limit(f"max_{name}_ratio", f"the factor from real to generated {meaning}", _factor(values, name), SHAPES)
            for name, meaning in FACTORS.items()
        ),
        Limit("max_holes", "the share of holes in generated subjects", get("holes"), SHAPES),
        Limit("max_disagreement", "the mean disagreement of matter and generator", get("disagreement"), SHAPES),
        Limit("max_refused", "the share of pairs that select refused", get("refused"), SHAPES),
    ]


def _of_matter(values: Values, pictures: str) -> list[Limit]:
    found, true = values.get("foreground"), values.get("true_foreground")
    foreground = background = None
    if found is not None and true is not None and 0 < true < 1:
        foreground, background = found / true, (1 - found) / (1 - true)
    over = f"in {pictures}, over that of labelled ones,"
    return [
        Limit("min_matter_foreground", f"the foreground that the matter sees {over}", foreground, REFIT),
        Limit("min_matter_background", f"the background that the matter sees {over}", background, REFIT),
        Limit("min_matter_confidence", "the mean confidence of the matter's labels", values.get("confidence"), REFIT),
    ]


def _factor(values: Values, name: str) -> float | None:
    """1 for equal, 2 for twice or half as much. None if not measured, or if the real ones have none of it."""
    made, real = values.get(name), values.get(f"real_{name}")
    if made is None or not real:
        return None
    return max(made / real, real / made) if made else float("inf")
