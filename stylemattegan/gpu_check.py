"""Whether the CUDA kernels are right on this GPU: `stylematte doctor --gpu-check`.

Every op in four number types, at several sizes, to the second derivative, against the reference in float64 on the CPU;
the same call twice; and the networks with 16-bit layers against themselves in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.precision import set_half
from stylemattegan.ops.bias_act import bias_act
from stylemattegan.ops.filtered_lrelu import filtered_lrelu
from stylemattegan.ops.filters import lowpass_filter, setup_filter
from stylemattegan.ops.selftest import in_full_float32
from stylemattegan.ops.upfirdn2d import upfirdn2d

TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest difference as a part of the largest value. 16 bits: a few roundings of what goes in and comes out of each
derivative; sums are float32."""
# (up, taps, down, taps, padding): the two shapes of the published networks, and one that has no kernel of its own
SHAPES = ((2, 12, 2, 12, (9, 8, 9, 8)), (4, 24, 2, 12, (-6, -9, -6, -9)), (3, 7, 2, 5, (4, -2, 3, 5)))
SIZES = ((20, 21), (57, 44), (36, 130))
Op = Callable[[Tensor, str], Tensor]


class Verdict(NamedTuple):
    """One check: the largest error, and how large it may be."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # not so if it is no number

    def line(self) -> str:
        return f"{'ok    ' if self.passed else 'FAILED'}  {self.name}: {self.error:.1e}, at most {self.tolerance:.0e}"


def ops_of(size: tuple[int, int]) -> Iterator[tuple[str, Op]]:
    """Ops of a picture (N, C, *size) by name."""
    for up, up_taps, down, down_taps, padding in SHAPES:
        rise, fall = lowpass_filter(up_taps, 2, 6, 16 * up), lowpass_filter(down_taps, 3, 6, 32)

        def bend(x: Tensor, impl: str, rise=rise, fall=fall, given=(up, down, padding)) -> Tensor:  # type: ignore[no-untyped-def]
            filters = (f.to(x.device) for f in (rise, fall))
            up, down, padding = given
            bias = torch.tensor([-0.25, 0.0, 0.25]).to(x)  # the same in every number type
            return filtered_lrelu(x, *filters, bias, up, down, padding, clamp=0.8, impl=impl)

        yield f"filtered_lrelu up {up} by {up_taps} taps, down {down} by {down_taps}, {size[0]} x {size[1]}", bend
    fir = setup_filter([1, 3, 3, 1])
    halve = dict(down=2, padding=1)
    double = dict(up=2, padding=(2, 1, 2, 1), gain=4.0)
    for name, how in (("down", halve), ("up", double)):

        def resample(x: Tensor, impl: str, how=how) -> Tensor:  # type: ignore[no-untyped-def]
            return upfirdn2d(x, fir.to(x.device), impl=impl, **how)

        yield f"upfirdn2d {name} 2, {size[0]} x {size[1]}", resample
    # 16 bits cannot tell what was clipped from what rounds to the clamp: `check_clipped`
    yield f"bias_act, {size[0]} x {size[1]}", lambda x, impl: bias_act(x, act="lrelu", clamp=256.0, impl=impl)


def orders(op: Op, impl: str, x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Value, first derivative along fixed numbers, and its derivative by those numbers; float64 on the CPU.

    dtype: what holds all numbers that go in, also where they are computed with in float64.
    """
    x = x.detach().requires_grad_()
    y = op(x, impl)
    g = numbers(tuple(y.shape), 1).to(dtype).to(y).requires_grad_()
    (first,) = torch.autograd.grad(y, x, g, create_graph=True)
    (second,) = torch.autograd.grad(first, g, numbers(tuple(x.shape), 2).to(dtype).to(x))
    return [t.detach().double().cpu() for t in (y, first, second)]


def numbers(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check_ops(impl: str, device: str) -> Iterator[Verdict]:
    """Every op, size and number type of `impl` on `device` against the reference; and once more, for equal bits."""
    for size in SIZES:
        for name, op in ops_of(size):
            for dtype, tolerance in TOLERANCES.items():
                x = numbers((2, 3, *size), 0).to(dtype)
                with in_full_float32(device):
                    expected = orders(op, "reference", x.double(), dtype)
                    actual, again = (orders(op, impl, x.to(device), dtype) for _ in range(2))
                kind = str(dtype).removeprefix("torch.")
                pairs = zip(actual, expected, strict=True)
                worst = torch.stack([(a - e).abs().max() / e.abs().max() for a, e in pairs]).max()
                yield Verdict(f"{name}, {kind}", float(worst), tolerance)
                changed = torch.stack([(a - b).abs().max() for a, b in zip(actual, again, strict=True)]).max()
                yield Verdict(f"{name}, {kind}, called again", float(changed), 0.0)


def check_clipped(impl: str, device: str) -> Iterator[Verdict]:
    """What is clipped passes no gradient, though 16 bits round the clamp."""
    for dtype in TOLERANCES:
        x = (torch.tensor([[-3.0, -1.0, 0.1, 1.0, 3.0]]) * 0.7).to(device, dtype).requires_grad_()
        (gradient,) = torch.autograd.grad(bias_act(x, act="lrelu", alpha=0.9, gain=1.2, clamp=0.7, impl=impl).sum(), x)
        passed = gradient.detach().double().cpu()[0, [0, 3, 4]].abs().max()
        yield Verdict(f"bias_act, clipped samples, {str(dtype).removeprefix('torch.')}", float(passed), 0.0)


def check_networks(device: str, halves: tuple[torch.dtype, ...] = (torch.float16, torch.bfloat16)) -> Iterator[Verdict]:
    """Pictures and scores of small networks with 16-bit layers: root mean square of the difference, in their spread."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), in_full_float32(device):
        torch.manual_seed(0)
        G = Generator(32, 32, 64, channel_base=1024, channel_max=64, num_layers=8, margin_size=4).to(device)
        D = Discriminator(64, channel_base=1024, channel_max=64).to(device)
        z = torch.randn(8, 32).to(device)
        picture = G(z)
        expected = picture, D(picture)
        for half in halves:
            for network in (G, D):
                set_half(network, half)
            found = G(z), D(picture)
            tolerance = 0.01 if half is torch.float16 else 0.1
            for name, a, e in zip(("generator", "discriminator"), found, expected, strict=True):
                error = (a - e).square().mean().sqrt() / e.std()
                yield Verdict(f"{name} with {str(half).removeprefix('torch.')} layers", float(error), tolerance)
