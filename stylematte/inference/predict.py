"""Photo -> alpha with a trained network, and how sure the network is of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylematte.config import NetworkConfig
from stylematte.imagefile import from_uint8, resize
from stylematte.inference.tiles import OVERLAP, in_tiles
from stylematte.ops.guided_filter import linear_coefficients
from stylematte.rgba import trimap_of_shares

UPSCALE_RADIUS, UPSCALE_EPS = 1, 1e-3

SCALES = (0.75, 1.25)
EMPTY = 1e-3
"""A matte with a smaller mean alpha is empty: nothing was found, so nothing can be trusted."""


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode without gradients inside; the former mode afterwards."""
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


def predict_with_confidence(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """image (N, 3, H, W) -> alpha (N, 1, H, W) and confidence (N,), both on image's device.

    The four views of `predict_views`; confidence is their `agreement`. The alpha is the mean of the two full-size
    views: the scaled ones would soften hair.
    """
    with evaluating(network):
        views = _views(network, image.to(_device(network)))
        alpha, confidence = ((views[0] + views[1]) / 2).clamp(0, 1), agreement(views.float())
    return alpha.to(image.device).clone(), confidence.to(image.device).clone()


def _views(network: nn.Module, batch: Tensor) -> Tensor:
    plain, mirrored = network(batch), network(batch.flip(-1)).flip(-1)
    return torch.stack([plain, mirrored, *(_scaled(network, batch, scale) for scale in SCALES)])


def seen_at(image: Tensor, size: int, enlarge: bool = True) -> Tensor:
    """image (C, H, W) with its longest side at `size`; without `enlarge` a smaller one stays as it is."""
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    if scale >= 1 and not enlarge:
        return image
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def brought_back(alpha: Tensor, small: Tensor, image: Tensor) -> Tensor:
    """alpha (1, h, w) of small (3, h, w), which is image (3, H, W) resized -> (1, H, W).

    Comes back as the linear coefficients of a guided filter (He and Sun, arXiv 1505.00996), so edges follow the photo,
    not the grid.
    """
    height, width = image.shape[-2:]
    if small.shape[-2] * small.shape[-1] >= height * width:
        return resize(alpha, (height, width))
    slope, offset = linear_coefficients(small.mean(0, keepdim=True)[None], alpha[None], UPSCALE_RADIUS, UPSCALE_EPS)
    slope, offset = (
        F.interpolate(c, size=(height, width), mode="bilinear", align_corners=False) for c in (slope, offset)
    )
    return (slope[0] * image.mean(0, keepdim=True) + offset[0]).clamp(0, 1)


class InferenceOptions(NamedTuple):
    """How a photo is shown to a network; the alpha always has the photo's own size.

    size: longest side it sees; None: as it is. enlarge: smaller photos are brought to `size`, too. tile: pixels of
    square tiles that are seen one by one, None: in one piece; overlap: of neighbours. flip: mean with the
    mirrored view.

    The resize policy: a reduced photo is averaged (antialiased bilinear), its alpha comes back as `brought_back` says.
    The field's protocol (P3M, AM-2k) shows photos as they are: InferenceOptions().
    """

    size: int | None = None
    enlarge: bool = False
    tile: int | None = None
    overlap: int = OVERLAP
    flip: bool = False


def predict_in(
    network: nn.Module, images: Sequence[Tensor], options: InferenceOptions, trimaps: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """images (3, H, W), all of one size -> alphas (1, H, W), by one forward pass (per tile and view).

    trimaps (1, H, W) in {0, 1/2, 1}: seen by a network that `takes_trimap`; known pixels are set in the result of any.
    """
    views = [image if options.size is None else seen_at(image, options.size, options.enlarge) for image in images]
    batch = torch.stack(views)
    if trimaps is not None and takes_trimap(network):
        batch = torch.cat([batch, torch.stack([_trimap_at(t, views[0].shape[-2:]) for t in trimaps])], 1)
    alpha = _forward(network, batch, options)
    results = [brought_back(a, v, image) for a, v, image in zip(alpha, views, images, strict=True)]
    if trimaps is not None:
        results = [torch.where(t == 0.5, a, t) for a, t in zip(results, trimaps, strict=True)]
    return results


def _forward(network: nn.Module, batch: Tensor, options: InferenceOptions) -> Tensor:
    """batch (N, 3 or 4, H, W), the fourth channel a trimap -> (N, 1, H, W)."""

    def once(part: Tensor) -> Tensor:
        return predict(network, part[:, :3], part[:, 3:] if part.shape[1] > 3 else None)

    def view(part: Tensor) -> Tensor:
        return (once(part) + once(part.flip(-1)).flip(-1)) / 2 if options.flip else once(part)

    return view(batch) if options.tile is None else in_tiles(view, batch, options.tile, options.overlap)


def _trimap_at(trimap: Tensor, size: torch.Size) -> Tensor:
    back, front = (resize((trimap == value).float(), (size[0], size[1])) for value in (0, 1))
    return trimap_of_shares(back, front)


class Matter(NamedTuple):
    """A network and the manner it is used in, as `load` gives it."""

    network: nn.Module
    options: InferenceOptions


def options_for(network: NetworkConfig, trained_at: int, size: int | None = None) -> InferenceOptions:
    """What is usual for a network of this configuration.

    size: the longest side it sees, None: what it was trained at; 0: the photo's own. A network knows subjects of the
    scale it was trained at, so smaller photos are enlarged; for the released one large ones are reduced only.
    """
    if size == 0:
        return InferenceOptions()
    return InferenceOptions(size or trained_at, enlarge=network.variant != "released")


def trained_at(folder: str | Path) -> int:
    """The longest side that a matter folder says its network was trained at; 512 if it says none. WeightsError."""
    from stylematte.networks.weights import WeightsError, matter_files, read_description

    meta = read_description(folder).get("meta")
    size = meta.get("size", 512) if isinstance(meta, dict) else 512
    if not isinstance(size, int) or size < 1:
        raise WeightsError(f"{matter_files(folder)[1]}: meta.size is {size!r}, expected pixels of the longest side")
    return size


_loaded: list[Matter] = []


def load(folder: str | Path, device: str = "cpu") -> Matter:
    """The matter in a folder with matter.safetensors and matter.json, or the hub's names. Raises WeightsError."""
    from stylematte.networks.weights import load_matter

    side = trained_at(folder)
    network = load_matter(folder, device)
    matter = Matter(network, options_for(network.config, side))
    _loaded[:] = [matter]
    return matter


def predict_picture(image: Any, matter: Matter | None = None, options: InferenceOptions | None = None) -> Any:
    """The alpha of a photo in the kind it came in. matter: of `load`; None: the one loaded last.

    PIL picture -> PIL "L"; numpy (H, W, 3), uint8 or float in [0, 1] -> float32 (H, W) in [0, 1]; tensor (3, H, W) or
    (N, 3, H, W) in [0, 1] -> 1 channel, same rank. Raises ValueError for anything else, and if nothing was loaded.
    """
    if matter is None and not _loaded:
        raise ValueError("no matter is loaded: stylematte.load(FOLDER) first")
    network, usual = matter or _loaded[0]
    batch = as_batch(image)
    alpha = torch.stack(predict_in(network, list(batch), options or usual))
    if isinstance(image, Tensor):
        return alpha.to(image.dtype) if image.ndim == 4 else alpha[0].to(image.dtype)
    values = alpha[0, 0].cpu().numpy()
    if isinstance(image, np.ndarray):
        return values
    from PIL import Image

    return Image.fromarray((values * 255 + 0.5).astype(np.uint8))


def as_batch(image: Any) -> Tensor:
    """A photo as `predict_picture` takes it -> (N, 3, H, W) float32 in [0, 1]. Raises ValueError."""
    if hasattr(image, "convert") and hasattr(image, "size"):  # PIL, which need not be imported for this
        image = np.asarray(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or not (image.dtype == np.uint8 or image.dtype.kind == "f"):
            raise ValueError(f"array {image.shape} of {image.dtype}: expected (H, W, 3) of uint8, or float in [0, 1]")
        floats = torch.from_numpy(np.array(image, np.float32)).permute(2, 0, 1)
        image = from_uint8(image) if image.dtype == np.uint8 else floats
    if not isinstance(image, Tensor) or image.ndim not in (3, 4) or image.shape[-3] != 3 or 0 in image.shape:
        found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{found}: expected a PIL picture, an array (H, W, 3) or a tensor (3, H, W) or (N, 3, H, W)")
    batch = (image if image.ndim == 4 else image[None]).float()
    if not (batch.min() >= 0 and batch.max() <= 1):  # nan is neither
        raise ValueError("values outside [0, 1] or NaN: expected float in [0, 1] (divide 0 ... 255 by 255)")
    return batch


class _Callable(ModuleType):
    """`stylematte.inference.predict` is this module, and a function to those who call it."""

    def __call__(self, image: Any, matter: Matter | None = None, options: InferenceOptions | None = None) -> Any:
        return predict_picture(image, matter, options)


sys.modules[__name__].__class__ = _Callable
