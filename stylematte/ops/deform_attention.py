"""Multi-scale deformable attention: every query looks at a few points of several maps, at locations it chose itself.

Zhu et al., "Deformable DETR" (ICLR 2021), equation 3, with the points' locations given in [0, 1] of each map:

    out[n, q, m] = sum_l sum_p A[n, q, m, l, p] * V_l[n, m](x[n, q, m, l, p])

V_l(x) is bilinear between cell centres (cell i has its centre at (i + 1/2) / size) and 0 outside the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from stylematte.ops.pointwise import plain_inference

Shapes = Sequence[tuple[int, int]]


def deform_attention(
    value: Float[Tensor, "n s m d"],
    shapes: Shapes,
    locations: Float[Tensor, "n q m l p 2"],
    weights: Float[Tensor, "n q m l p"],
) -> Float[Tensor, "n q m*d"]:
    """The weighted sum of the sampled values.

    value: the maps, row by row, one after the other; m heads. shapes: (height, width) of each of the l maps, s the sum
    of their areas. locations: x and y in [0, 1]. Raises ValueError if the shapes do not fit together.
    """
    cells = sum(height * width for height, width in shapes)
    if value.shape[1] != cells or locations.shape[3] != len(shapes) or locations.shape[:5] != weights.shape:
        raise ValueError(
            f"value {tuple(value.shape)}, locations {tuple(locations.shape)}, weights {tuple(weights.shape)} do not "
            f"fit maps of {list(shapes)}: expected (N, {cells}, M, D), (N, Q, M, {len(shapes)}, P, 2), the same less 2"
        )
    if plain_inference(value) and _fits(value, shapes, locations):
        return gathered(value, shapes, locations, weights)
    return sampled(value, shapes, locations, weights)


def _fits(value: Tensor, shapes: Shapes, locations: Tensor) -> bool:
    """Whether `gathered` can: its numbers of rows are 32 bits, a map has two cells a side, and nan has no cell."""
    rows = value.shape[0] * value.shape[1] * value.shape[2]
    return rows < 2**31 and min(map(min, shapes)) > 1 and bool(locations.sum().isfinite())


def sampled(
    value: Float[Tensor, "n s m d"],
    shapes: Shapes,
    locations: Float[Tensor, "n q m l p 2"],
    weights: Float[Tensor, "n q m l p"],
) -> Float[Tensor, "n q m*d"]:
    """By `grid_sample`: differentiable, on any device, exportable."""
    n, _, heads, depth = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    grid = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # (L, N M, Q, P, 2)
    share = weights.permute(3, 0, 2, 1, 4).reshape(len(shapes), n * heads, 1, queries, points)
    out = value.new_zeros(())
    for level, part in enumerate(value.split([height * width for height, width in shapes], 1)):
        # what `reshape` would do, without asking about strides: an export would keep the answer
        rows = part.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
        maps = rows.view(n * heads, depth, *shapes[level])
        taken = F.grid_sample(maps, grid[level], mode="bilinear", padding_mode="zeros", align_corners=False)
        out = out + (taken * share[level]).sum(-1)  # (N M, D, Q)
    return out.view(n, heads * depth, queries).transpose(1, 2)


def gathered(
    value: Float[Tensor, "n s m d"],
    shapes: Shapes,
    locations: Float[Tensor, "n q m l p 2"],
    weights: Float[Tensor, "n q m l p"],
) -> Float[Tensor, "n q m*d"]:
    """By one weighted sum of table rows: the four cells around a point are four rows of `value`.

    No sampled value is ever written to memory, which makes it many times faster than `sampled` on a CPU. For maps of
    at least 2 x 2 cells. Points are handled as rows of M L P numbers: short inner axes would cost most of the time.
    """
    n, cells, heads, depth = value.shape
    queries, points = locations.shape[1], locations[0, 0].numel() // 2
    height, width, begin = (
        row.repeat_interleave(points // heads // len(shapes)).repeat(heads) for row in _plan(shapes)
    )
    x, y = locations.view(n, queries, points, 2).unbind(-1)
    column, left, right = _between(x, width)
    row, above, below = _between(y, height)
    above, below = (share * weights.view(n, queries, points) for share in (above, below))
    head = torch.arange(heads, dtype=torch.int32).repeat_interleave(points // heads)
    picture = torch.arange(n, dtype=torch.int32)[:, None, None] * (cells * heads)
    # cell (y, x) of a map, head m of picture n is row ((n S + begin + y W + x) M + m) of the table
    first = row.mul_(width * heads).add_(column.mul_(heads)).add_(begin * heads + head + picture)
    bags = (n, queries, heads, 4, points // heads)
    index, share = torch.empty(bags, dtype=torch.int32), torch.empty(bags)
    corners = (
        (above, left, 0),
        (above, right, heads),
        (below, left, width * heads),
        (below, right, (width + 1) * heads),
    )
    for corner, (vertical, horizontal, step) in enumerate(corners):
        index[..., corner, :] = (first + step).view(n, queries, heads, -1)
        share[..., corner, :] = (vertical * horizontal).view(n, queries, heads, -1)
    table = value.reshape(n * cells * heads, depth)
    rows = n * queries * heads
    out = F.embedding_bag(index.view(rows, -1), table, mode="sum", per_sample_weights=share.view(rows, -1))
    return out.view(n, queries, heads * depth)


def _plan(shapes: Shapes) -> list[Tensor]:
    """Height, width and number of the first cell of each map, int32."""
    size = torch.tensor(shapes, dtype=torch.int32)
    begin = F.pad((size[:, 0] * size[:, 1]).cumsum(0, dtype=torch.int32), (1, 0))[:-1]
    return [size[:, 0], size[:, 1], begin]


def _between(
    location: Float[Tensor, "n q p"], size: Int[Tensor, " p"]
) -> tuple[Int[Tensor, "n q p"], Float[Tensor, "n q p"], Float[Tensor, "n q p"]]:
    """location in [0, 1] -> the lower of two neighbouring cells in the map, and the shares of both.

    A cell's share is 1 less its distance, at least 0: for a point outside the map that is right with the border cells.
    """
    cell = (location * size).sub_(0.5)  # centre of cell i: (i + 1/2) / size
    low = cell.floor().clamp_(min=0).minimum(size - 2)
    above = cell.sub_(low)
    shares = [(above - step).abs_().neg_().add_(1).clamp_(min=0) for step in (0, 1)]
    return low.to(torch.int32), shares[0], shares[1]
