"""y = clip(gain * act(x + b), -clamp, clamp)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylemattegan.ops.functions import Activate
from stylemattegan.ops.implementation import ENGINES, chosen, running


class Activation(NamedTuple):
    """function(x, alpha); alpha and gain when none are given."""

    function: Callable[[Tensor, float], Tensor]
    alpha: float
    gain: float


ACTIVATIONS = {
    "linear": Activation(lambda x, alpha: x, 0.0, 1.0),
    "relu": Activation(lambda x, alpha: F.relu(x), 0.0, math.sqrt(2)),
    "lrelu": Activation(lambda x, alpha: F.leaky_relu(x, alpha), 0.2, math.sqrt(2)),
    "tanh": Activation(lambda x, alpha: torch.tanh(x), 0.0, 1.0),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x), 0.0, 1.0),
    "elu": Activation(lambda x, alpha: F.elu(x), 0.0, 1.0),
    "selu": Activation(lambda x, alpha: F.selu(x), 0.0, 1.0),
    "softplus": Activation(lambda x, alpha: F.softplus(x), 0.0, 1.0),
    "swish": Activation(lambda x, alpha: x * torch.sigmoid(x), 0.0, math.sqrt(2)),
}


def bias_act(
    x: Float[Tensor, "*shape"],
    b: Float[Tensor, " size"] | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    impl: str | None = None,
) -> Float[Tensor, "*shape"]:
    """Bias along `dim`, activation, gain, clipping, in this order. Differentiable any number of times.

    alpha and gain default to those of the activation (`ACTIVATIONS`). torch skips the passes that change nothing; the
    compiled ones make one pass of leaky ReLU, gain and clipping.
    """
    if act not in ACTIVATIONS:
        raise ValueError(f"unknown activation {act!r}: expected one of {', '.join(ACTIVATIONS)}")
    function, default_alpha, default_gain = ACTIVATIONS[act]
    alpha = default_alpha if alpha is None else alpha
    gain = default_gain if gain is None else gain
    how = chosen(impl, x)
    everything = how == "reference"
    if b is not None:
        x = x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    slope = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}.get(act, -1.0)
    if how in ENGINES and slope >= 0 and gain > 0 and (slope, gain, clamp) != (1, 1, None):
        return Activate.apply(x, slope, gain, math.inf if clamp is None else clamp, running(how))
    x = function(x, alpha)
    if everything or gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)
