"""Networks compared with a file's tensors before they take memory, and the file's values before they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from stylematte.errors import WeightsError
from stylematte.untrusted.names import shown

SPARE = 100
"""Parameters that a network may register beyond twice the file's tensors: some replace parts while being built."""


class _Many(Exception):
    """No ValueError: a network that is being built may have its own use for those."""


def skeleton(build: Callable[[], nn.Module], tensors: int) -> dict[str, Tensor]:
    """The state dict of what `build` makes, on `meta`: names, shapes and types without memory.

    tensors: how many the file holds; a network of many more is given up while it is built. Raises WeightsError.
    """
    left = 2 * tensors + SPARE

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Many

    handle = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            return dict(build().state_dict())
    except _Many:
        many = f"describes a network of many more than the {tensors:,} tensors that its file holds"
        raise WeightsError(many) from None
    finally:
        handle.remove()


def differing(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str | None:
    """The first tensor that is missing, unknown or of another shape, in a line; None where there is none."""
    for key in sorted(wanted.keys() | given.keys()):
        if key not in given:
            return f"lacks {key}"
        if key not in wanted:
            return f"has an unknown {shown(key)}"
        if given[key].shape != wanted[key].shape:
            return f"{key} has shape {_shape(given[key])}, expected {_shape(wanted[key])}"
    return None


def _shape(value: Tensor) -> str:
    return str(tuple(value.shape))


def demand_numbers(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless floating point is where it should be and finite, and running means can be divided by.

    wanted: as `skeleton` gives them; names in `given` only are not looked at.
    """
    for key, value in given.items():
        if key not in wanted:
            continue
        if value.is_floating_point() != wanted[key].is_floating_point() or value.is_complex():
            kinds = f"{value.dtype}, expected {wanted[key].dtype}".replace("torch.", "")
            raise WeightsError(f"{shown(key)} holds numbers of type {kinds}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(f"{shown(key)} holds values that are no numbers (NaN, infinite)")
        if key.endswith("magnitude_ema") and not (value > 0).all():
            raise WeightsError(f"{shown(key)}, a mean of squares, is not above 0")
        if key.endswith("running_var") and not (value >= 0).all():
            raise WeightsError(f"{shown(key)}, a variance, is below 0")
