"""A matter as one graph of `torch.export`: any number of pictures of any height and width, padding inside, in float32
or with bfloat16 weights that are multiplied in bfloat16.

A graph follows a size only as far as every size behind it is plain arithmetic. So the picture is padded to whole cells
by an index as long as a number of cells that the graph takes for new (`whole_cells`): all later sizes are multiples or
quotients of that, and nothing is asked about the picture's own again.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stylematte.networks.windows import windows_by_index

LEAST, MOST = 32, 16384
"""Pixels a side."""
EXAMPLE = (75, 101)
"""The traced size: no multiple of anything, so that the padding is in the graph; nothing of it stays there."""
KEPT_IN_FLOAT = (nn.modules.batchnorm._BatchNorm,)
"""Modules whose weights stay float32: variances of eight bits would shift whole maps."""


def to_program(network: nn.Module, precision: torch.dtype = torch.float32, trimap: bool = False) -> Any:
    """network (eval) -> ExportedProgram: image (N, 3, H, W), sides from LEAST to MOST, to float32 alpha (N, 1, H, W).

    trimap: a second input (N, 1, H, W), for a network that takes one. Raises what torch.export does where a backbone
    asks for its sizes in another way.
    """
    given = tuple(torch.rand(2, channels, *EXAMPLE) for channels in ((3, 1) if trimap else (3,)))
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shown = in_precision(network, precision)
    with windows_by_index(shown):
        return export_quietly(AnySize(shown).eval(), given, tuple(free for _ in given))


def to_program_of_size(network: nn.Module, size: tuple[int, int], precision: torch.dtype = torch.float32) -> Any:
    """The same for one picture of `size` (height, width) alone."""
    return export_quietly(in_precision(network, precision).eval(), (torch.rand(1, 3, *size),), None)


def export_quietly(module: nn.Module, given: tuple[Tensor, ...], shapes: Any) -> Any:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(module, given, dynamic_shapes=shapes, strict=False)


class AnySize(nn.Module):
    """A network behind a padding that is arithmetic on the sizes; its alpha at the picture's size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor, trimap: Tensor | None = None) -> Tensor:
        pad = self._as_released if self.network.config.variant == "released" else self._around
        channels = image if trimap is None else torch.cat([image, trimap], 1)
        padded, before = pad(channels)
        if trimap is None and self.network.config.variant == "released":
            alpha = self.network.from_normalised(self.network.backbone.normalise(padded))
        else:
            alpha = self.network(padded) if trimap is None else self.network(padded[:, :3], padded[:, 3:])
        for axis, start in zip((-2, -1), before, strict=True):
            alpha = alpha.index_select(axis, torch.arange(image.shape[axis], device=alpha.device) + start)
        return alpha

    def _around(self, image: Tensor) -> tuple[Tensor, list[int]]:
        """Mirrored evenly on both sides, as `pad_to_multiple` does; and the cells before the picture."""
        multiple, starts = self.network.backbone.stride, []
        for axis in (-2, -1):
            size = image.shape[axis]
            whole = whole_cells((size + multiple - 1) // multiple, multiple)
            starts.append((whole - size) // 2)
            index = (torch.arange(whole, device=image.device) - starts[-1]).abs()
            image = image.index_select(axis, (size - 1) - ((size - 1) - index).abs())
        return image, starts

    def _as_released(self, image: Tensor) -> tuple[Tensor, list[int]]:
        """As `pad_as_released` does: before the picture alone, and both sides as soon as one needs it."""
        from stylematte.networks.released.network import MULTIPLE

        (height, width), most, starts = image.shape[-2:], 2 * (MULTIPLE - 1), []
        odd = (height % MULTIPLE + width % MULTIPLE + most - 1) // most
        for axis, size in ((-2, height), (-1, width)):
            whole = whole_cells(size // MULTIPLE + odd, MULTIPLE)
            starts.append(whole - size)
            index = (torch.arange(whole, device=image.device) - starts[-1]) % (2 * size)
            image = image.index_select(axis, torch.minimum(index, 2 * size - 1 - index))
        return image, starts


def whole_cells(count: int, multiple: int) -> int:
    """count * multiple; an export takes count for a number of its own."""
    if torch.compiler.is_exporting():
        count = torch.full((), count, dtype=torch.int64).item()  # type: ignore[assignment]
        torch._check(count >= LEAST // multiple)
        torch._check(count <= MOST // multiple + 1)
    return count * multiple


def in_precision(network: nn.Module, precision: torch.dtype) -> nn.Module:
    """The same network; or a copy whose layers have weights of `precision` and bring what they are given to it."""
    if precision == torch.float32:
        return network
    network = copy.deepcopy(network)
    for layer in network.modules():
        if not list(layer.children()) and list(layer.parameters()) and not isinstance(layer, KEPT_IN_FLOAT):
            layer.to(precision).register_forward_pre_hook(brought_to(precision))
    return network


def brought_to(precision: torch.dtype) -> Callable[[nn.Module, Sequence[Any]], tuple[Any, ...]]:
    """A hook before a layer: its floating-point inputs in `precision`."""

    def hook(layer: nn.Module, given: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(x.to(precision) if isinstance(x, Tensor) and x.is_floating_point() else x for x in given)

    return hook
