"""Dataclasses as configuration: numbers with a range beside the field, plain JSON types and back again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

import dacite

T = TypeVar("T")
RANGE = "range"
"""Key of a field's metadata: (low, high), both included."""


def ranged(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field whose number lies in [low, high]; `impossible` holds values against it. None: no bound."""
    return field(default=default, metadata={RANGE: (low, high)})


def impossible(config: Any, name: str = "") -> Iterator[str]:
    """One line for each value of a dataclass, and of those inside it, that cannot work: "key=value: expected ...".

    A number outside its field's range or not finite (inf and nan cannot be written as JSON), and what the dataclass
    itself says in `problems()`, an iterator of such lines (": ..." for one about the whole).
    """
    dot = f"{name}." if name else ""
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            yield from impossible(value, dot + item.name)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            low, high = item.metadata.get(RANGE, (None, None))
            if not (math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high)):
                yield f"{dot}{item.name}={value}: expected {_bounds(low, high)}"
    if hasattr(config, "problems"):
        yield from (name + line if line.startswith(":") else dot + line for line in config.problems())


def _bounds(low: float | None, high: float | None) -> str:
    if high is None:
        return "a finite number" if low is None else f"{low} or more"
    return f"{high} or less" if low is None else f"a number from {low} to {high}"


def to_plain(config: Any) -> Any:
    """A dataclass as JSON has it: dictionaries, lists, numbers, texts; enums become their values, tuples lists."""
    if is_dataclass(config):
        return {item.name: to_plain(getattr(config, item.name)) for item in fields(config)}
    if isinstance(config, Enum):
        return config.value
    if isinstance(config, Mapping):
        return {str(key): to_plain(value) for key, value in config.items()}
    return [to_plain(value) for value in config] if isinstance(config, (list, tuple)) else config


def from_plain(kind: type[T], plain: Any, hooks: Mapping[type, Callable[[Any], Any]] | None = None) -> T:
    """The dataclass that `to_plain` made `plain` of. hooks: for fields of a type that `plain` itself has to choose.

    Raises ValueError that names the field, or the value of an enum, if one is missing, unknown or of another type.
    """
    try:
        rules = dacite.Config(cast=[Enum, tuple], strict=True, type_hooks={float: _number, **(hooks or {})})
        return dacite.from_dict(kind, plain, rules)  # type: ignore[type-var]
    except (dacite.DaciteError, ValueError) as error:
        raise ValueError(f"{kind.__name__}: {error}") from None


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
