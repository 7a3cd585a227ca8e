"""A trained matter, loaded and callable: photo -> alpha, photo -> RGBA cut-out, in the kind the photo came in.

matter = stylematte.load("runs/portraits")      # a run, an export, or a folder with matter.safetensors and matter.json
alpha = matter("photo.jpg")                     # a path, PIL, numpy (H, W, 3) or tensor (3, H, W); any size
alphas = matter(["a.jpg", "b.jpg"])             # or a list of these
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import ConfigError, DataError, WeightsError
from stylematte.imagefile import from_picture, from_uint8, read_rgb, to_uint8
from stylematte.inference.devices import InPrecision, check_precision, devices_of
from stylematte.inference.options import AskedOptions, InferenceOptions, options_for, predict_in
from stylematte.networks.weights import load_matter, matter_files, read_description
from stylematte.ops.foreground import (
    REDUCED,
    estimate_foreground,
    estimate_foreground_reduced,
    foreground_strips,
    rounded_strips,
)
from stylematte.pixels import Pixels, rows_of, strips_of, whole
from stylematte.records import demand_whole
from stylematte.rgba import composite, split_rgba
from stylematte.rounds import find_matter

BATCH = 4
"""Photos of a list that go through the network at once."""
INTEGERS = (np.uint8, np.uint16)
FOREGROUNDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "fast": estimate_foreground_reduced,
    "exact": estimate_foreground,
    "none": lambda image, alpha: image,
}
"""How the colours of a cut-out are found: solved at 512 pixels and restored, solved at full size, the photo's own."""


def matter_folder(path: Path) -> Path:
    """The folder with the weights: `path` itself, an export's `matter`, or a run's best accepted one. DataError."""
    found = find_matter(path)
    if found is None:
        raise DataError(f"{path}: no accepted matter; expected a run folder after round 0, or an exported one")
    return found


def trained_at(folder: Path) -> int:
    """The longest side that a matter folder says its network was trained at; 512 if it says none. WeightsError."""
    return _side(folder, "size", default=512, least=1)


def native_side(folder: Path) -> int:
    """The longest side of the photos whose crops, at their own scale, a matter learned from; 0 if it saw squares."""
    return _side(folder, "max_side", default=0, least=0)


def _side(folder: Path, name: str, default: int, least: int) -> int:
    meta = read_description(folder).get("meta")
    side = meta.get(name, default) if isinstance(meta, dict) else default
    if not isinstance(side, int) or side < least:
        raise WeightsError(f"{matter_files(folder)[1]}: meta.{name} is {side!r}, expected pixels of the longest side")
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

    def predict(
        self, images: Sequence[Tensor], options: InferenceOptions | None = None, trimaps: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """images (3, H, W), trimaps (1, H, W), all of one size -> alphas (1, H, W), by one forward pass."""
        return predict_in(self.network, images, options or self.options, trimaps)

    def __call__(self, photo: Any, trimap: Tensor | None = None, options: InferenceOptions | None = None) -> Any:
        """The alpha of a photo, or a list of the alphas of a list of photos.

        photo: a path or PIL picture -> PIL "L"; numpy (H, W, 3 or 4), uint8, uint16 or float in [0, 1] -> float32
        (H, W) in [0, 1]; tensor (3 or 4, H, W) or (N, 3 or 4, H, W) in [0, 1] -> 1 channel, same rank. What is
        transparent is shown on white. trimap (1, H, W) in {0, 1/2, 1}: known pixels of the alpha. Raises ConfigError
        for anything else, and BadPicture.
        """
        if isinstance(photo, (list, tuple)):
            return self._each(photo, trimap, options, BATCH, _alpha_as)
        return _alpha_as(photo, self._alpha(as_batch(photo), trimap, options))

    def cutout(self, photo: Any, trimap: Tensor | None = None, options: InferenceOptions | None = None) -> Any:
        """Straight RGBA with estimated foreground colours (no fringe of the old background), in the kind of `photo`:
        PIL "RGBA"; float32 (H, W, 4); tensor (4, H, W) or (N, 4, H, W); a list for a list."""
        if isinstance(photo, (list, tuple)):
            return [self.cutout(each, trimap, options) for each in photo]
        batch = as_batch(photo)
        alpha = self._alpha(batch, trimap, options)
        rgba = torch.stack([cut_out(image, a) for image, a in zip(batch, alpha, strict=True)])
        if isinstance(photo, Tensor):
            return rgba.to(photo.dtype) if photo.ndim == 4 else rgba[0].to(photo.dtype)
        return rgba[0].permute(1, 2, 0).cpu().numpy() if isinstance(photo, np.ndarray) else _picture(rgba[0])

    def _each(
        self,
        photos: Sequence[Any],
        trimap: Tensor | None,
        options: InferenceOptions | None,
        most: int,
        kind: Callable[[Any, Tensor], Any],
    ) -> list[Any]:
        """Neighbours of one size go through the network together, at most `most` of them."""
        found: list[Any] = []
        waiting: list[tuple[Any, Tensor]] = []

        def flush() -> None:
            if waiting:
                alphas = self._alpha(torch.cat([batch for _, batch in waiting]), trimap, options)
                counts = [len(batch) for _, batch in waiting]
                found.extend(kind(photo, part) for (photo, _), part in zip(waiting, alphas.split(counts), strict=True))
                waiting.clear()

        for photo in photos:
            batch = as_batch(photo)
            if waiting and (waiting[0][1].shape[1:] != batch.shape[1:] or len(waiting) >= most):
                flush()
            waiting.append((photo, batch))
        flush()
        return found

    def _alpha(self, batch: Tensor, trimap: Tensor | None, options: InferenceOptions | None) -> Tensor:
        known = None if trimap is None else [trimap] * len(batch)
        return torch.stack(self.predict(list(batch), options, known))


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu", precision: str = "fp32") -> Matter:
    """The matter of a run (its best), an export, or a folder with matter.safetensors and matter.json, or the
    hub's names. Nothing is downloaded. A result of a run is read in full and must be what was made.

    device: cpu, cuda, cuda:1, or auto (a GPU where there is one). precision: fp32, or bf16 or fp16 (on a GPU) by
    autocast. Raises ConfigError, DataError, WeightsError.
    """
    place = devices_of(str(device))[0]
    check_precision(precision, place)
    folder = matter_folder(Path(path).expanduser())
    demand_whole(folder)
    side, native = trained_at(folder), native_side(folder)
    network = load_matter(folder, str(place))
    if precision != "fp32":
        network = InPrecision(network, precision).eval()
    return Matter(network, options_for(network.config, side, max_side=native), folder, side, native)


def cut_out(image: Tensor, alpha: Tensor, foreground: str = "fast") -> Tensor:
    """image (3, H, W), alpha (1, H, W) -> straight RGBA (4, H, W). foreground: one of FOREGROUNDS."""
    rgba = image.new_empty(4, *image.shape[-2:])
    rgba[:3] = FOREGROUNDS[foreground](image, alpha)
    rgba[3:] = alpha
    return rgba


def cut_out_strips(
    image: Tensor | Pixels, alpha: Tensor, foreground: str = "fast", bits: int = 8
) -> Iterator[Tensor | np.ndarray]:
    """The rows of `cut_out` a few at a time, from the top: strips (4, n, W), or rounded already, (n, W, 4) of uint8.

    Of "exact" alone all is in memory. bits: to which strips will be rounded.
    """
    quick = foreground == "fast" and bits == 8 and isinstance(image, Pixels) and image.is_plain
    if quick and max(image.shape) > REDUCED:
        yield from rounded_strips(image, alpha)
        return
    for first, front in _colour_strips(image, alpha, foreground):
        yield torch.cat([front, alpha[:, first : first + front.shape[1]].to(front.device)])


def _colour_strips(image: Tensor | Pixels, alpha: Tensor, foreground: str) -> Iterator[tuple[int, Tensor]]:
    if foreground == "fast":
        return foreground_strips(image, alpha)
    if foreground == "none":
        return ((rows.start, rows_of(image, rows)) for rows in strips_of(alpha.shape[-2]))
    return iter([(0, FOREGROUNDS[foreground](whole(image), alpha))])


def as_batch(photo: Any) -> Tensor:
    """A photo as `Matter` takes it -> (N, 3, H, W) float32 in [0, 1], transparent on white. ConfigError, BadPicture."""
    if isinstance(photo, (str, os.PathLike)):
        return read_rgb(photo)[None]
    if hasattr(photo, "convert") and hasattr(photo, "getexif"):  # PIL, which need not be imported for this
        return from_picture(photo)[None]
    if isinstance(photo, np.ndarray):
        if photo.ndim != 3 or photo.shape[2] not in (3, 4) or not (photo.dtype in INTEGERS or photo.dtype.kind == "f"):
            kinds = "(H, W, 3) or (H, W, 4) of uint8 or uint16, or float in [0, 1]"
            raise ConfigError(f"array {photo.shape} of {photo.dtype}: expected {kinds}")
        floats = torch.from_numpy(np.array(photo, np.float32)).permute(2, 0, 1)
        photo = from_uint8(photo) if photo.dtype in INTEGERS else floats
    if not isinstance(photo, Tensor) or photo.ndim not in (3, 4) or photo.shape[-3] not in (3, 4) or 0 in photo.shape:
        found = tuple(photo.shape) if isinstance(photo, Tensor) else type(photo).__name__
        kinds = "a path, a PIL picture, an array (H, W, 3) or a tensor (3, H, W) or (N, 3, H, W)"
        raise ConfigError(f"{found}: expected {kinds}")
    batch = (photo if photo.ndim == 4 else photo[None]).float()
    if not (batch.min() >= 0 and batch.max() <= 1):  # nan is neither
        raise ConfigError("values outside [0, 1] or NaN: expected float in [0, 1] (divide 0 ... 255 by 255)")
    if batch.shape[1] == 4:
        colour, alpha = split_rgba(batch)
        batch = composite(colour, alpha, torch.ones_like(alpha))
    return batch


def _alpha_as(photo: Any, alpha: Tensor) -> Any:
    """alpha (N, 1, H, W) in the kind of `photo`."""
    if isinstance(photo, Tensor):
        return alpha.to(photo.dtype) if photo.ndim == 4 else alpha[0].to(photo.dtype)
    return alpha[0, 0].cpu().numpy() if isinstance(photo, np.ndarray) else _picture(alpha[0])


def _picture(picture: Tensor) -> Any:
    from PIL import Image

    pixels = to_uint8(picture)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
