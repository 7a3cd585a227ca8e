"""What "close to the true alpha" means: five terms, each (N, 1, H, W) pairs -> (N,), one value per sample.

Per-sample values, not a mean over the batch, so that samples can be weighted and a global batch split over processes.
All terms but composition are norms of the difference d = prediction - truth, and are computed on d alone.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stylematte.rgba import composite

LEVELS = 5
CELL = 16
"""Side of what the semantic term takes for one place, in pixels."""
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def _difference(prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
    if prediction.shape != truth.shape:
        raise ValueError(f"alpha of shape {tuple(prediction.shape)} against truth of {tuple(truth.shape)}: resize one")
    return prediction - truth


def per_sample_mean(values: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """The mean over all axes but the first."""
    return values.flatten(1).mean(1)


def l1(prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Mean absolute difference: alpha-prediction loss of Xu et al., "Deep Image Matting" (CVPR 2017), on all pixels."""
    return per_sample_mean(_difference(prediction, truth).abs())


def gradient(prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """Mean |d/dx (p - a)| + mean |d/dy (p - a)| by forward differences: wrong edges cost even where l1 is small.

    L1 on image gradients as in ViTMatte (Yao et al., arXiv 2305.15272), without its sparsity term.
    """
    d = _difference(prediction, truth)
    total = d.new_zeros(d.shape[0])
    for axis in (-1, -2):
        if d.shape[axis] > 1:
            total = total + per_sample_mean(d.diff(dim=axis).abs())
    return total


def _blur(values: Float[Tensor, "n c h w"], gain: float = 1.0) -> Float[Tensor, "n c h w"]:
    """Separable 5x5 binomial filter with reflected borders (gain per axis); H, W >= 3."""
    channels = values.shape[1]
    row = values.new_tensor(BINOMIAL).mul(gain).expand(channels, 1, 1, 5)
    values = F.conv2d(F.pad(values, (2, 2, 0, 0), mode="reflect"), row, groups=channels)
    return F.conv2d(F.pad(values, (0, 0, 2, 2), mode="reflect"), row.transpose(2, 3), groups=channels)


def pyramid_up(values: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c H W"]:
    """Burt and Adelson's EXPAND: zeros between the samples, blur with twice the gain, crop to `size`."""
    n, c, h, w = values.shape
    sparse = values.new_zeros(n, c, 2 * h, 2 * w)
    sparse[..., ::2, ::2] = values
    return _blur(sparse, gain=2.0)[..., : size[0], : size[1]]


def laplacian_pyramid(values: Float[Tensor, "n c h w"], levels: int = LEVELS) -> list[Float[Tensor, "n c _ _"]]:
    """Burt and Adelson 1983: band-pass levels, finest first, without the coarse rest.

    Stops early when a level would be smaller than 3 pixels, the least a reflected 5-tap filter can take.
    """
    bands = []
    while len(bands) < levels and min(values.shape[-2:]) >= 3:
        coarse = _blur(values)[..., ::2, ::2]
        bands.append(values - pyramid_up(coarse, (values.shape[-2], values.shape[-1])))
        values = coarse
    return bands


def laplacian(
    prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"], levels: int = LEVELS
) -> Float[Tensor, " n"]:
    """(1 / L) sum over levels l = 0 .. L-1 of 2^l mean |Lap_l(p) - Lap_l(a)|; fewer levels for small pictures.

    Hou and Liu, "Context-Aware Image Matting" (ICCV 2019), equation 2 (5 levels, weights 2^l), with means in place of
    sums so that the value does not depend on the picture's size. A picture below 3 pixels has no level and costs 0.
    """
    d = _difference(prediction, truth)
    bands = laplacian_pyramid(d, levels)
    if not bands:
        return d.new_zeros(d.shape[0])
    return torch.stack([2**level * per_sample_mean(band.abs()) for level, band in enumerate(bands)]).mean(0)


def composition(
    prediction: Float[Tensor, "n 1 h w"],
    foreground: Float[Tensor, "n 3 h w"],
    background: Float[Tensor, "n 3 h w"],
    image: Float[Tensor, "n 3 h w"],
) -> Float[Tensor, " n"]:
    """Mean |p F + (1 - p) B - I|, averaged over the channels: the compositional loss of Xu et al. (CVPR 2017).

    The image is a F + (1 - a) B.
    """
    return per_sample_mean((composite(foreground, prediction, background) - image).abs())


def semantic(
    prediction: Float[Tensor, "n 1 h w"], truth: Float[Tensor, "n 1 h w"], cell: int = CELL
) -> Float[Tensor, " n"]:
    """1/2 mean over cells of (mean_cell p - mean_cell a)^2: is the right thing foreground, whatever its edges.

    Ke et al., "MODNet" (AAAI 2022, arXiv 2011.11961), equation 1: L_s = 1/2 ||s_p - G(a)||_2 with G a thumbnail at
    1/16; here with means in place of sums, and the mean over a cell for G. Where a picture's side is no multiple of
    `cell`, cells are a little smaller and overlap.
    """
    d = _difference(prediction, truth)
    grid = math.ceil(d.shape[-2] / cell), math.ceil(d.shape[-1] / cell)
    return 0.5 * per_sample_mean(F.adaptive_avg_pool2d(d, grid).square())
