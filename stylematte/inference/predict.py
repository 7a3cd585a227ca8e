"""Photo -> alpha with a trained network, and how sure the network is of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = (0.75, 1.25)
COLOURS = ((1.15, 1.0, 0.85), (0.85, 1.0, 1.15))
"""Factors on red, green and blue: the light of a lamp, and that of the sky."""
GAMMAS = (0.8, 1.25)
LARGER = 1.5
"""Scale at which the ensemble looks once more: at 64 x 64 the small matters see most there, after the plain size."""
EMPTY = 1e-3
"""A matte with a smaller mean alpha is empty: nothing was found, so nothing can be trusted."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode without gradients inside; the previous mode afterwards."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def takes_trimap(network: nn.Module) -> bool:
    """True if its forward takes a trimap beside the image."""
    return bool(getattr(getattr(network, "config", None), "takes_trimap", False))


def predict(network: nn.Module, image: Tensor, trimap: Tensor | None = None) -> Tensor:
    """image (3, H, W) or (N, 3, H, W) in [0, 1], any size -> alpha of the same rank, 1 channel, on image's device.

    trimap: of image's rank and size, 1 channel, {0, 1/2, 1}; only for a network that `takes_trimap`.
    """
    batch = image if image.ndim == 4 else image[None]
    with evaluating(network):
        known = () if trimap is None else ((trimap if trimap.ndim == 4 else trimap[None]).to(_device(network)),)
        alpha = network(batch.to(_device(network)), *known).clamp(0, 1)
    alpha = alpha.to(image.device).clone()
    return alpha if image.ndim == 4 else alpha[0]


def _scaled(network: nn.Module, image: Tensor, scale: float) -> Tensor:
    """The alpha of the picture shrunk or grown by `scale`, brought back to its size."""
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    small = F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
    alpha = network(small.clamp(0, 1))
    return F.interpolate(alpha, size=image.shape[-2:], mode="bilinear", align_corners=False, antialias=True)


def agreement(views: Tensor) -> Tensor:
    """views (V, N, 1, H, W) of one matte -> confidence (N,) in [0, 1].

    With m the mean over the V views, confidence = max(0, 1 - (1/V) sum_v sum_p |a_v - m| / sum_p m): 1 minus the mean
    area of disagreement relative to the area of the matte, so the size of the subject does not matter. A matte whose
    mean alpha is below 0.001 has confidence 0.
    """
    mean = views.mean(0)
    area = mean.flatten(1).sum(1)
    disagreement = (views - mean).abs().mean(0).flatten(1).sum(1)
    confidence = (1 - disagreement / area.clamp_min(1e-8)).clamp(0, 1)
    return torch.where(mean.flatten(1).mean(1) < EMPTY, torch.zeros_like(confidence), confidence)


def predict_views(network: nn.Module, image: Tensor) -> Tensor:
    """image (N, 3, H, W) -> alphas (4, N, 1, H, W) in [0, 1] on image's device.

    Four views of each picture, brought back to its place and size: as it is, mirrored, at 0.75 and at 1.25 of the size.
    """
    with evaluating(network):
        views = _views(network, image.to(_device(network))).float().clamp(0, 1)
    return views.to(image.device).clone()


def predict_agreement(network: nn.Module, image: Tensor) -> Tensor:
    """image (N, 3, H, W) -> (N, 1, H, W) in [0, 1] on image's device: how far alpha may be believed at each pixel.

    `pixel_agreement` of six views: the four of `predict_views`, and the picture in warmer and in colder light.
    """
    with evaluating(network):
        batch = image.to(_device(network))
        lit = torch.stack([network(each) for each in _in_coloured_light(batch)])
        seen = pixel_agreement(torch.cat([_views(network, batch), lit]).float().clamp(0, 1))
    return seen.to(image.device).clone()


def pixel_agreement(views: Tensor) -> Tensor:
    """views (V, N, 1, H, W) of one matte -> (N, 1, H, W): 1 minus the largest difference of two views at a pixel."""
    return 1 - (views.amax(0) - views.amin(0))


def predict_with_confidence(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """image (N, 3, H, W) -> alpha (N, 1, H, W) and confidence (N,), both on image's device.

    The four views of `predict_views`; confidence is their `agreement`. The alpha is the mean of the two full-size
    views: the scaled ones would soften hair.
    """
    with evaluating(network):
        views = _views(network, image.to(_device(network)))
        alpha, confidence = ((views[0] + views[1]) / 2).clamp(0, 1), agreement(views.float())
    return alpha.to(image.device).clone(), confidence.to(image.device).clone()


def predict_ensemble(network: nn.Module, image: Tensor) -> Tensor:
    """image (N, 3, H, W) -> alpha (N, 1, H, W) on image's device: the mean of eight views.

    The picture and its mirror image, both also at 1.5 of the size, and the picture in warmer, colder, brighter and
    darker light. A better teacher than the network alone: the views err in different places.
    """
    with evaluating(network):
        batch = image.to(_device(network))
        lit = [*_in_coloured_light(batch), *(batch.clamp(0, 1) ** gamma for gamma in GAMMAS)]
        mirrored = batch.flip(-1)
        views = [network(batch), network(mirrored).flip(-1), *map(network, lit)]
        views += [_scaled(network, batch, LARGER), _scaled(network, mirrored, LARGER).flip(-1)]
        alpha = torch.stack(views).float().clamp(0, 1).mean(0)
    return alpha.to(image.device).clone()


def sharpen(alpha: Tensor, power: float) -> Tensor:
    """alpha in [0, 1] -> a^k / (a^k + (1 - a)^k) with k = power: nearer to 0 or 1 for k > 1, unchanged for 1.

    Berthelot et al. 2019 (MixMatch, arXiv 1905.02249), eq. 7 for two classes, with k = 1 / T.
    """
    inside, outside = alpha**power, (1 - alpha) ** power
    return inside / (inside + outside)


def _in_coloured_light(batch: Tensor) -> list[Tensor]:
    """The pictures in warmer and in colder light, in [0, 1]."""
    return [(batch * batch.new_tensor(by)[:, None, None]).clamp(0, 1) for by in COLOURS]


def _views(network: nn.Module, batch: Tensor) -> Tensor:
    plain, mirrored = network(batch), network(batch.flip(-1)).flip(-1)
    return torch.stack([plain, mirrored, *(_scaled(network, batch, scale) for scale in SCALES)])
