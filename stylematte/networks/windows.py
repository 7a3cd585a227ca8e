"""Swin's attention in windows with sizes as arithmetic and cells taken by index, which `torch.export` follows.

Liu et al., "Swin Transformer" (ICCV 2021). timm pads, slices and reshapes by the remainders of a size by a window: an
export would solve them for minutes, and then take few other sizes. Here a map of `size` cells has ceil(size / window)
windows, and an index says which cell is where; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

APART = -100.0
"""Added to the logit of two cells that the roll put into one window although they do not touch."""


@contextmanager
def windows_by_index(network: nn.Module) -> Iterator[None]:
    """timm's Swin blocks of `network` attend by index inside, in eval mode; as timm wrote it afterwards."""
    blocks: list[Any] = [module for module in network.modules() if isinstance(module, SwinTransformerBlock)]
    for block in blocks:
        block._attn = partial(attend, block, padded_first=False)
    try:
        yield
    finally:
        for block in blocks:
            del block._attn


def attend(block: Any, x: Float[Tensor, "n h w c"], padded_first: bool) -> Float[Tensor, "n h w c"]:
    """softmax(q k^T / sqrt d + B + M) v in windows of x, which is normalised. No dropout.

    padded_first: zeros come before the roll, as in the released code; timm rolls first.
    """
    attention, (n, height, width, channels) = block.attn, x.shape
    (tall, wide), (down, across) = block.window_size, block.shift_size
    rows, columns = (height + tall - 1) // tall, (width + wide - 1) // wide
    x = _taken(_taken(x, 1, rows * tall, down, padded_first), 2, columns * wide, across, padded_first)
    x = contiguous(x.view(n, rows, tall, columns, wide, channels).transpose(2, 3))
    count, cells = n * rows * columns, tall * wide
    qkv = attention.qkv(x.view(count, cells, channels)).view(count, cells, 3, attention.num_heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    bias = attention._get_rel_pos_bias()  # (1, heads, cells, cells)
    if down or across:
        region = (
            3 * _band(rows, tall, down, x.device)[:, None, :, None]
            + _band(columns, wide, across, x.device)[None, :, None, :]
        )
        region = contiguous(region).view(rows * columns, cells)
        apart = (region[:, :, None] != region[:, None, :]).to(bias.dtype) * APART
        bias = (bias + apart[:, None]).repeat(n, 1, 1, 1)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    y = attention.proj(contiguous(y.transpose(1, 2)).view(count, cells, -1))
    y = contiguous(y.view(n, rows, columns, tall, wide, channels).transpose(2, 3))
    y = y.view(n, rows * tall, columns * wide, channels)
    return _brought_back(_brought_back(y, 1, height, down, padded_first), 2, width, across, padded_first)


def padded_by_index(x: Float[Tensor, "n _ _ c"], multiple: int) -> Float[Tensor, "n _ _ c"]:
    """x with zeros below and right, so that H and W are multiples."""
    for axis in (1, 2):
        x = _taken(x, axis, (x.shape[axis] + multiple - 1) // multiple * multiple, 0, True)
    return x


def _taken(x: Float[Tensor, "n _ _ c"], axis: int, whole: int, shift: int, padded_first: bool) -> Tensor:
    """x with `whole` cells along axis: rolled by -shift, zeros where there is none."""
    size = x.shape[axis]
    index, there = _places(size, whole, shift, padded_first, x.device)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return x.index_select(axis, index) * there.to(x.dtype).view(shape)


def _places(
    size: int, whole: int, shift: int, padded_first: bool, device: torch.device
) -> tuple[Int[Tensor, " whole"], Bool[Tensor, " whole"]]:
    """Which of `size` cells each of `whole` is, and whether it is one."""
    index = torch.arange(whole, device=device)
    rolled = (index + shift) % (whole if padded_first else size)
    there = (rolled if padded_first else index) < size
    return torch.where(there, rolled, 0), there


def _brought_back(y: Float[Tensor, "n _ _ c"], axis: int, size: int, shift: int, padded_first: bool) -> Tensor:
    """The first `size` cells along axis, rolled by shift."""
    index = torch.arange(size, device=y.device) - shift
    return y.index_select(axis, index % (y.shape[axis] if padded_first else size))


def _band(count: int, window: int, shift: int, device: torch.device) -> Int[Tensor, "count window"]:
    """For each cell of `count` windows in a row: 0; 1 in the last window; 2 where the roll put the first cells."""
    index = torch.arange(count * window, device=device)
    last = (index >= (count - 1) * window).long() + (index >= count * window - shift).long()
    return last.view(count, window)


def contiguous(x: Tensor) -> Tensor:
    """A copy in the usual order; asks nothing about x's strides, whose answer an export would keep for all sizes."""
    return x.clone(memory_format=torch.contiguous_format)
