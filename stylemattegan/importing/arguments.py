"""What networks of the official code were built with, in our flat names. See docs/generator-import.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stylematte.errors import WeightsError
from stylematte.untrusted.names import shown, shown_value

DEFAULTS = {"num_fp16_res": 4}
"""Of the official code, where ours is another."""
ONLY = {"activation": "lrelu", "resample_filter": [1, 3, 3, 1], "fp16_channels_last": False}
"""Arguments of inner blocks that ours have not: any other value is refused."""
INNER = {
    ("generator", "mapping_kwargs"): {"num_layers": "mapping_layers", "w_avg_beta": "w_avg_beta"},
    ("discriminator", "mapping_kwargs"): {"num_layers": "mapping_layers"},
    ("discriminator", "block_kwargs"): {"freeze_layers": "freeze_layers"},
    ("discriminator", "epilogue_kwargs"): {n: n for n in ("mbstd_group_size", "mbstd_num_channels")},
}


def generator_arguments(official: Mapping[str, Any]) -> dict[str, Any]:
    """Ours from the official ones. Raises WeightsError for one that ours has not."""
    return _arguments("generator", official)


def discriminator_arguments(official: Mapping[str, Any]) -> dict[str, Any]:
    """Ours from the official ones. Raises WeightsError for one that ours has not."""
    return _arguments("discriminator", official)


def _arguments(kind: str, official: Mapping[str, Any]) -> dict[str, Any]:
    ours = dict(DEFAULTS)
    for name, value in official.items():
        inner = INNER.get((kind, name))
        if inner is None:
            ours[name] = value
            continue
        for key, given in (value or {}).items():
            if key in inner:
                ours[inner[key]] = given
            elif not _is_only(key, given):
                argument = f"{shown(name)}.{shown(key)}={shown_value(given)}"
                raise WeightsError(f"its {kind} was built with {argument}, which ours has not")
    for name, value in ours.items():
        plain = isinstance(value, (bool, int, float, str, type(None)))
        if not isinstance(name, str) or not plain or (isinstance(value, float) and not math.isfinite(value)):
            argument = f"{shown(name)} = {shown_value(value)}"
            raise WeightsError(f"its {kind} was built with {argument}; expected a number or a word")
    return ours


def _is_only(key: object, given: object) -> bool:
    if key not in ONLY:
        return False
    only = ONLY[key]
    if isinstance(only, list):  # not `==`: a list of a file may hold itself
        return (
            isinstance(given, list)
            and len(given) == len(only)
            and all(type(a) is int and a == b for a, b in zip(given, only, strict=True))
        )
    return type(given) is type(only) and given == only
