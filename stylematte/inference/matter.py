"""A trained matter, loaded and callable: photo -> alpha, photo -> RGBA cut-out, in the kind the photo came in.

matter = stylematte.load("runs/portraits")      # a run, an export, or a folder with matter.safetensors and matter.json
alpha = matter("photo.jpg")                     # a path, PIL, numpy (H, W, 3) or tensor (3, H, W); any size
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import ConfigError, DataError, WeightsError
from stylematte.imagefile import from_uint8, read_rgb, to_uint8
from stylematte.inference.options import AskedOptions, InferenceOptions, options_for, predict_in
from stylematte.networks.weights import load_matter, matter_files, read_description
from stylematte.ops.foreground import estimate_foreground
from stylematte.rounds import best_matter


def matter_folder(path: Path) -> Path:
    """The folder with the weights: `path` itself, an export's `matter`, or a run's best accepted one. DataError."""
    if (path / "matter.json").is_file() or (path / "model.safetensors").is_file():  # ours, or the hub's names
        return path
    best = best_matter(path)
    if best is None and (path / "matter/matter.json").is_file():
        best = path / "matter"
    if best is None:
        raise DataError(f"{path}: no accepted matter; expected a run folder after round 0, or an exported one")
    return best


def trained_at(folder: Path) -> int:
    """The longest side that a matter folder says its network was trained at; 512 if it says none. WeightsError."""
    meta = read_description(folder).get("meta")
    size = meta.get("size", 512) if isinstance(meta, dict) else 512
    if not isinstance(size, int) or size < 1:
        raise WeightsError(f"{matter_files(folder)[1]}: meta.size is {size!r}, expected pixels of the longest side")
    return size


def native_side(folder: Path) -> int:
    """The longest side of the photos whose crops, at their own scale, a matter learned from; 0 if it saw squares."""
    meta = read_description(folder).get("meta")
    side = meta.get("max_side", 0) if isinstance(meta, dict) else 0
    if not isinstance(side, int) or side < 0:
        raise WeightsError(f"{matter_files(folder)[1]}: meta.max_side is {side!r}, expected pixels of the longest side")
    return side


@dataclass(frozen=True)
class Matter:
    """A network in eval mode, where it is from, and how it is usually shown a photo."""

    network: Any
    options: InferenceOptions
    folder: Path
    trained_at: int
    """Pixels of the longest side."""
    native_side: int = 0
    """Above 0: of photos that it saw at their own scale."""

    def asked(self, asked: AskedOptions) -> InferenceOptions:
        """What these wishes amount to for this network. Raises ConfigError."""
        return asked.options(self.network.config, self.trained_at, self.native_side)

    def __call__(self, photo: Any, trimap: Tensor | None = None, options: InferenceOptions | None = None) -> Any:
        """The alpha of a photo.

        photo: a path or PIL picture -> PIL "L"; numpy (H, W, 3), uint8 or float in [0, 1] -> float32 (H, W) in [0, 1];
        tensor (3, H, W) or (N, 3, H, W) in [0, 1] -> 1 channel, same rank. trimap (1, H, W) in {0, 1/2, 1}: known
        pixels of the alpha. Raises ConfigError for anything else, and BadPicture.
        """
        alpha = self._alpha(as_batch(photo), trimap, options)
        if isinstance(photo, Tensor):
            return alpha.to(photo.dtype) if photo.ndim == 4 else alpha[0].to(photo.dtype)
        return alpha[0, 0].cpu().numpy() if isinstance(photo, np.ndarray) else _picture(alpha[0])

    def cutout(self, photo: Any, trimap: Tensor | None = None, options: InferenceOptions | None = None) -> Any:
        """Straight RGBA with estimated foreground colours (no fringe of the old background), in the kind of `photo`:
        PIL "RGBA"; float32 (H, W, 4); tensor (4, H, W) or (N, 4, H, W)."""
        batch = as_batch(photo)
        alpha = self._alpha(batch, trimap, options)
        rgba = torch.stack([cut_out(image, a) for image, a in zip(batch, alpha, strict=True)])
        if isinstance(photo, Tensor):
            return rgba.to(photo.dtype) if photo.ndim == 4 else rgba[0].to(photo.dtype)
        return rgba[0].permute(1, 2, 0).cpu().numpy() if isinstance(photo, np.ndarray) else _picture(rgba[0])

    def _alpha(self, batch: Tensor, trimap: Tensor | None, options: InferenceOptions | None) -> Tensor:
        known = None if trimap is None else [trimap] * len(batch)
        return torch.stack(predict_in(self.network, list(batch), options or self.options, known))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Matter:
    """The matter of a run (its best), an export, or a folder with matter.safetensors and matter.json, or the
    hub's names. Nothing is downloaded. Raises DataError, WeightsError."""
    folder = matter_folder(Path(path).expanduser())
    side, native = trained_at(folder), native_side(folder)
    network = load_matter(folder, str(device))
    return Matter(network, options_for(network.config, side, max_side=native), folder, side, native)


def cut_out(image: Tensor, alpha: Tensor) -> Tensor:
    """image (3, H, W), alpha (1, H, W) -> straight RGBA (4, H, W)."""
    return torch.cat([estimate_foreground(image, alpha), alpha])


def as_batch(photo: Any) -> Tensor:
    """A photo as `Matter` takes it -> (N, 3, H, W) float32 in [0, 1]. Raises ConfigError, BadPicture."""
    if isinstance(photo, (str, os.PathLike)):
        photo = read_rgb(photo)
    if hasattr(photo, "convert") and hasattr(photo, "size"):  # PIL, which need not be imported for this
        photo = np.asarray(photo.convert("RGB"))
    if isinstance(photo, np.ndarray):
        if photo.ndim != 3 or photo.shape[2] != 3 or not (photo.dtype == np.uint8 or photo.dtype.kind == "f"):
            raise ConfigError(f"array {photo.shape} of {photo.dtype}: expected (H, W, 3) of uint8, or float in [0, 1]")
        floats = torch.from_numpy(np.array(photo, np.float32)).permute(2, 0, 1)
        photo = from_uint8(photo) if photo.dtype == np.uint8 else floats
    if not isinstance(photo, Tensor) or photo.ndim not in (3, 4) or photo.shape[-3] != 3 or 0 in photo.shape:
        found = tuple(photo.shape) if isinstance(photo, Tensor) else type(photo).__name__
        kinds = "a path, a PIL picture, an array (H, W, 3) or a tensor (3, H, W) or (N, 3, H, W)"
        raise ConfigError(f"{found}: expected {kinds}")
    batch = (photo if photo.ndim == 4 else photo[None]).float()
    if not (batch.min() >= 0 and batch.max() <= 1):  # nan is neither
        raise ConfigError("values outside [0, 1] or NaN: expected float in [0, 1] (divide 0 ... 255 by 255)")
    return batch


def _picture(picture: Tensor) -> Any:
    from PIL import Image

    pixels = to_uint8(picture)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
