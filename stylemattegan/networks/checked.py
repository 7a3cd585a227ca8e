"""Builds a generator or discriminator that a file describes: within bounds, once its tensors are known to fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from stylematte.errors import WeightsError
from stylematte.untrusted.filling import demand_numbers, differing, skeleton
from stylematte.untrusted.names import shown, shown_value

Network = TypeVar("Network", bound=nn.Module)
WIDTH, LARGEST = 2**16, 2**13
BOUNDS: dict[str, tuple[float, float]] = {
    "z_dim": (1, WIDTH),
    "w_dim": (1, WIDTH),
    "c_dim": (0, WIDTH),
    "cmap_dim": (0, WIDTH),
    "img_resolution": (4, LARGEST),
    "img_channels": (1, 64),
    "mapping_layers": (0, 64),
    "num_layers": (1, 256),
    "num_critical": (0, 256),
    "margin_size": (1, 256),
    "channel_base": (1, 2**24),
    "channel_max": (1, WIDTH),
    "conv_kernel": (1, 15),
    "filter_size": (1, 64),
    "lrelu_upsampling": (1, 16),
    "num_fp16_res": (0, 32),
    "freeze_layers": (0, 256),
    "mbstd_group_size": (1, WIDTH),
    "mbstd_num_channels": (0, 1024),
    "first_cutoff": (2**-10, LARGEST),
    "first_stopband": (2**-10, LARGEST),
    "last_stopband_rel": (2**-10, 2**10),
    "magnitude_ema_beta": (0, 1),
    "w_avg_beta": (0, 1),
}
"""Of arguments that decide what is built; far wider than any published network's."""
OPTIONAL = {"cmap_dim", "mbstd_group_size", "w_avg_beta"}


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for a number that no network is built with, or a value that is none where one is due."""
    for name, value in arguments.items():
        if value is None or isinstance(value, str):
            if name in BOUNDS and not (value is None and name in OPTIONAL):
                raise ValueError(f"{name}={shown_value(value)}: expected a number")
            continue
        if not isinstance(value, (bool, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{shown(name)}={shown_value(value)}: expected a number or a word")
        low, high = BOUNDS.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            raise ValueError(f"{name}={shown_value(value)}: expected {low:g} to {high:g}")


def build(kind: type[Network], arguments: Mapping[str, Any]) -> Network:
    """A network of these arguments. Raises ValueError, in a line, if there is none."""
    check_arguments(arguments)
    try:
        return kind(**arguments)
    except WeightsError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise ValueError(shown(" ".join(str(error).split()), 200)) from None


def demand_fit(kind: type[nn.Module], arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of such a network on `meta`. Raises WeightsError unless `state` has the same names and shapes."""
    wanted = skeleton(lambda: build(kind, arguments), len(state))
    wrong = differing(wanted, state)
    if wrong is not None:
        raise WeightsError(wrong)
    return wanted


def build_filled(kind: type[Network], arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> Network:
    """The network with the tensors of `state`. Raises ValueError as `build`, WeightsError where they do not fit."""
    demand_numbers(demand_fit(kind, arguments, state), state)
    network = build(kind, arguments)
    network.load_state_dict(state)
    return network
