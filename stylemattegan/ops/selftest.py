"""A look at a compiled engine's results on this machine before anything rests on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from stylemattegan.ops import compiled
from stylemattegan.ops.engine import Engine
from stylemattegan.ops.filters import lowpass_filter
from stylemattegan.ops.geometry import Axis, Settings
from stylemattegan.ops.upfirdn2d_torch import by_definition

TOLERANCE = 2e-5
"""Largest difference from the reference, as a part of the largest value (float32)."""


@contextmanager
def in_full_float32(device: str) -> Iterator[None]:
    """Without autocast and TF32, which would take a rounding of theirs for an error of ours."""
    kind = torch.device(device).type
    with torch.autocast(kind, enabled=False), torch.backends.cudnn.flags(allow_tf32=False):
        yield


def error_of(engine: Engine, device: str) -> float:
    """Largest relative difference of an engine's filtered leaky ReLU and its gradient from the definition.

    In the two shapes of the published networks; a picture of several tiles, and clipping that bites. Always in float32,
    also when the first call of an op comes under autocast.
    """
    with in_full_float32(device), torch.inference_mode(False), torch.enable_grad():
        x = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
        down = lowpass_filter(12, 3, 6, 32)
        errors = []
        for up, taps in ((2, 12), (4, 24)):
            grown = lowpass_filter(taps, 2, 6, 16 * up)
            assert grown is not None
            assert down is not None
            settings = Settings(grown.to(device), down.to(device), up, 2, (9, 8, 9, 8), 2**0.5, 0.2, 1.0, False)
            ys = _defined(x, settings), compiled.filtered_lrelu(x, None, None, settings, engine)
            gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in ys]
            errors += [(a - e).detach().abs().max() / e.detach().abs().max() for e, a in (ys, gradients)]
        return float(torch.stack(errors).max())  # not a number if one is not


def _defined(x: Tensor, settings: Settings) -> Tensor:
    fu, fd, up, down, (x0, x1, y0, y1), gain, slope, clamp, flip = settings
    assert fu is not None
    assert fd is not None
    assert clamp is not None
    fine = by_definition(x, fu, Axis(up, 1, x0, x1), Axis(up, 1, y0, y1), flip, up**2)
    bent = (F.leaky_relu(fine, slope) * gain).clamp(-clamp, clamp)
    return by_definition(bent, fd, Axis(1, down, 0, 0), Axis(1, down, 0, 0), flip, 1.0)
