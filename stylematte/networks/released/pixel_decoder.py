"""The released pixel decoder: six layers of deformable attention over three maps, and one finer map from the backbone.

Cheng et al., "Masked-attention Mask Transformer" (CVPR 2022), whose query decoder StyleMatte throws away; the layers
are Deformable-DETR's encoder (Zhu et al., ICLR 2021). Names of parameters are those of the released checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.networks.windows import contiguous
from stylematte.ops.deform_attention import Shapes, deform_attention
from stylematte.ops.pointwise import feedforward, project

HEADS, LEVELS, POINTS, GROUPS = 8, 3, 4, 32
TEMPERATURE = 10000.0


def sine_positions(
    height: int, width: int, channels: int, device: torch.device
) -> Float[Tensor, "{height*width} {channels}"]:
    """Position of each cell, row by row: half the channels for y, half for x; sines and cosines in turn, wavelengths
    from the map's side to 10000 times that."""

    def axis(size: int) -> Tensor:
        # the epsilon is the original's: without it the last digits differ
        angle = torch.arange(1, size + 1, device=device, dtype=torch.float32) / (size + 1e-6) * (2 * math.pi)
        index = torch.arange(channels // 2, device=device)
        phase = angle[:, None] / TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / (channels // 2))
        return torch.stack([phase[:, 0::2].sin(), phase[:, 1::2].cos()], -1).flatten(1)

    y = axis(height)[:, None].expand(-1, width, -1)
    x = axis(width)[None].expand(height, -1, -1)
    return torch.cat([y, x], -1).flatten(0, 1)


def cell_centres(height: int, width: int, device: torch.device) -> Float[Tensor, "{height*width} 2"]:
    """x and y in [0, 1], row by row."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], -1).flatten(0, 1)


class DeformableSelfAttention(nn.Module):
    """Queries are tokens plus their position; values are the tokens alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sampling_offsets = nn.Linear(channels, HEADS * LEVELS * POINTS * 2)
        self.attention_weights = nn.Linear(channels, HEADS * LEVELS * POINTS)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Deformable-DETR's start: head m looks 1 to P cells into direction m, all points weigh the same."""
        direction = torch.arange(HEADS) * (2 * math.pi / HEADS)
        offset = torch.stack([direction.cos(), direction.sin()], -1)
        offset = offset / offset.abs().max(-1, keepdim=True).values
        steps = torch.arange(1, POINTS + 1).view(1, 1, POINTS, 1)
        self.sampling_offsets.bias.copy_((offset.view(HEADS, 1, 1, 2) * steps).expand(-1, LEVELS, -1, -1).flatten())
        for silent in (self.sampling_offsets.weight, self.attention_weights.weight, self.attention_weights.bias):
            silent.zero_()

    def forward(
        self,
        tokens: Float[Tensor, "n k c"],
        positions: Float[Tensor, "k c"],
        centres: Float[Tensor, "k 2"],
        shapes: Shapes,
    ) -> Float[Tensor, "n k c"]:
        n, count, channels = tokens.shape
        queries = tokens + positions
        value = project(self.value_proj, tokens).view(n, count, HEADS, channels // HEADS)
        offsets = project(self.sampling_offsets, queries)
        weights = project(self.attention_weights, queries).view(n, count, HEADS, LEVELS * POINTS).softmax(-1)
        number = partial(torch.full, ()) if torch.compiler.is_exporting() else torch.as_tensor  # follow the shapes both
        sides = [number(side, device=tokens.device) for height, width in shapes for side in (width, height)]
        size = torch.stack(sides).to(tokens.dtype).view(-1, 2)  # not one constant: an export must follow the shapes
        size = size.repeat_interleave(POINTS, 0).repeat(HEADS, 1).flatten()  # for every x and y in a row of offsets
        locations = centres.repeat(1, HEADS * LEVELS * POINTS) + offsets / size  # offsets are in cells
        locations = locations.view(n, count, HEADS, LEVELS, POINTS, 2)
        weights = weights.view(n, count, HEADS, LEVELS, POINTS)
        # half precision cannot tell cells of a large map apart
        with torch.autocast(tokens.device.type, enabled=False):
            out = deform_attention(value.float(), shapes, locations.float(), weights.float())
        return project(self.output_proj, out.to(value.dtype))


class EncoderLayer(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.self_attn = DeformableSelfAttention(channels)
        self.self_attn_layer_norm = nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, width), nn.Linear(width, channels)
        self.final_layer_norm = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Float[Tensor, "n k c"],
        positions: Float[Tensor, "k c"],
        centres: Float[Tensor, "k 2"],
        shapes: Shapes,
    ) -> Float[Tensor, "n k c"]:
        tokens = self.self_attn_layer_norm(tokens + self.self_attn(tokens, positions, centres, shapes))
        return self.final_layer_norm(tokens + feedforward(tokens, self.fc1, F.relu, self.fc2))


class Encoder(nn.Module):
    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, width) for _ in range(layers))


class PixelDecoder(nn.Module):
    """Four maps of `in_channels`, finest first, NCHW -> four maps of `channels`, coarsest first, NCHW."""

    def __init__(self, in_channels: Sequence[int], channels: int, layers: int, width: int) -> None:
        super().__init__()
        finest, *rest = in_channels
        self.level_embed = nn.Parameter(torch.randn(LEVELS, channels))
        self.input_projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, channels, 1), nn.GroupNorm(GROUPS, channels)) for c in reversed(rest)
        )
        self.encoder = Encoder(channels, width, layers)
        self.adapter_1 = nn.Sequential(nn.Conv2d(finest, channels, 1, bias=False), nn.GroupNorm(GROUPS, channels))
        self.layer_1 = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, channels), nn.ReLU()
        )
        self.mask_projection = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Sequence[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n _ _ _"]]:
        coarse = [pointwise(layer, m) for layer, m in zip(self.input_projections, reversed(maps[1:]), strict=True)]
        outputs = self.attend(coarse)
        finest = pointwise(self.adapter_1, maps[0])
        up = F.interpolate(outputs[-1], size=finest.shape[-2:], mode="bilinear", align_corners=False)
        finest = finest + up.contiguous()
        return [*outputs, pointwise(self.mask_projection, self.layer_1(finest))]

    def attend(self, maps: Sequence[Float[Tensor, "n c _ _"]]) -> list[Float[Tensor, "n c _ _"]]:
        """The encoder over all cells of `maps` at once."""
        shapes = [(m.shape[2], m.shape[3]) for m in maps]
        device, channels = maps[0].device, maps[0].shape[1]
        tokens = torch.cat([m.permute(0, 2, 3, 1).flatten(1, 2) for m in maps], 1)
        positions = torch.cat(
            [sine_positions(*shape, channels, device) + self.level_embed[i] for i, shape in enumerate(shapes)]
        )
        centres = torch.cat([cell_centres(*shape, device) for shape in shapes])
        for layer in self.encoder.layers:
            tokens = layer(tokens, positions, centres, shapes)
        parts = tokens.split([height * width for height, width in shapes], 1)
        if torch.compiler.is_exporting():
            parts = [contiguous(part) for part in parts]
        maps = [part.reshape(part.shape[0], *shape, channels) for part, shape in zip(parts, shapes, strict=True)]
        return [m.permute(0, 3, 1, 2) for m in maps]


def pointwise(layer: nn.Sequential | nn.Conv2d, x: Float[Tensor, "n _ h w"]) -> Float[Tensor, "n _ h w"]:
    """A 1x1 convolution, and what follows it in a sequence.

    The result is contiguous: on a CPU the 3x3 convolutions after it round three times worse on channels-last maps, and
    the guided filter would show it.
    """
    convolution, *rest = layer if isinstance(layer, nn.Sequential) else [layer]
    y = project(convolution, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
    for module in rest:
        y = module(y)
    return y
