"""Picture files <-> tensors: reading whatever people have, writing PNG and JPEG, resizing; uint8 <-> float32.

The bytes of formats are decoded and encoded in `imagecode`.

In memory: float32 in [0, 1], straight sRGB, (C, H, W). On disk: 8-bit PNG (or JPEG for `write_rgb`). Reading accepts
what people have: EXIF-rotated JPEG, CMYK, palettes with transparency, 1-bit, grey, LA, 16-bit PNG. What cannot be
read raises `BadPicture` with one line that names the file and the reason. Writing is atomic: readers see the previous
file or the whole new one.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stylematte.atomic import replace_file
from stylematte.errors import BadPicture
from stylematte.imagecode import Decoded, animate, decode, encode, from_pil, header, lanczos, text_of
from stylematte.pngfile import QuickPng
from stylematte.rgba import composite, split_rgba
from stylematte.shards import is_member, read_member

_PathLike = str | os.PathLike[str]
STRIP = 32
"""Rows that are brought to other numbers at a time: they stay in the processor's cache."""


def read_rgb(path: _PathLike) -> Tensor:
    """(3, H, W) in [0, 1]. What is transparent is shown on white, as picture viewers do. Raises BadPicture."""
    return on_white(read_decoded(path))


def on_white(decoded: Decoded) -> Tensor:
    """(3, H, W) in [0, 1] of a decoded picture; what is transparent is shown on white."""
    colour, alpha = decoded
    if alpha is None:
        return _to_float(colour)
    front = _to_float(alpha)
    return composite(_to_float(colour), front, torch.ones_like(front))


def from_picture(picture: Image.Image) -> Tensor:
    """A PIL picture as `read_rgb` reads its file: upright by its EXIF data, 16 bits kept, on white. BadPicture."""
    return on_white(from_pil("the picture", picture))


def read_alpha(path: _PathLike) -> Tensor:
    """(1, H, W) in [0, 1]: the alpha channel if the file has one that varies, else luminance. Raises BadPicture."""
    colour, alpha = read_decoded(path)
    if alpha is not None and alpha.min() != alpha.max():
        return _to_float(alpha)
    if (colour[..., 0] == colour[..., 1]).all() and (colour[..., 0] == colour[..., 2]).all():
        return _to_float(colour[..., 0])
    luminance = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # Rec. 601 luma
    return (_to_float(colour) * luminance).sum(0, keepdim=True).clamp(0, 1)


def read_rgba(path: _PathLike) -> Tensor:
    """(4, H, W) in [0, 1], straight; a file without transparency has alpha 1 everywhere. Raises BadPicture."""
    colour, alpha = read_decoded(path)
    rgb = _to_float(colour)
    return torch.cat([rgb, torch.ones_like(rgb[:1]) if alpha is None else _to_float(alpha)])


def read_trimap(path: _PathLike) -> Tensor:
    """(1, H, W) with the values {0, 1/2, 1}, of an 8-bit grey picture with 0, 128 (or 127, 129) and 255 only.

    Raises BadPicture that names another value found and the cure: JPEG or smoothing made it, or it is no trimap.
    """
    colour, alpha = read_decoded(path)
    if colour.dtype != np.uint8 or (alpha is not None and alpha.min() < 255) or np.ptp(colour, axis=2).any():
        raise BadPicture(path, "a trimap is an 8-bit grey picture without transparency; save it as grey PNG")
    grey, unknown = colour[..., 0], np.isin(colour[..., 0], (127, 128, 129))
    stray = grey[~unknown & (grey != 0) & (grey != 255)]
    if stray.size:
        found = f"grey value {np.bincount(stray).argmax()} on {stray.size / grey.size:.1%} of the picture"
        cure = "save it as PNG and scale it by nearest neighbour, or make it of an alpha"
        raise BadPicture(path, f"{found}, a trimap has 0, 128 and 255 only: {cure}")
    return torch.from_numpy(np.where(unknown, np.float32(0.5), (grey == 255).astype(np.float32)))[None]


def from_bytes(name: _PathLike, data: bytes) -> Tensor:
    """The bytes of a picture file -> (C, H, W) in [0, 1] with the channels it has: 1 grey, 3 colour, 4 straight RGBA.

    name: what errors name. Raises BadPicture.
    """
    colour, alpha = decode(name, data)
    if alpha is not None:
        return torch.cat([_to_float(colour), _to_float(alpha)])
    return _to_float(colour[..., 0] if header(name, data).channels == 1 else colour)


def to_png(picture: Tensor) -> bytes:
    """(1, 3 or 4, H, W) in [0, 1] -> the bytes of an 8-bit PNG file."""
    array = to_uint8(picture)
    return encode("picture.png", array[..., 0] if array.shape[2] == 1 else array)


def write_rgb(path: _PathLike, picture: Tensor) -> None:
    """Write (3, H, W) in [0, 1] as 8-bit PNG, or as JPEG (quality 95) if the name ends in .jpg."""
    _write(path, picture, 3, 8)


def write_alpha(path: _PathLike, alpha: Tensor, bits: int = 8) -> None:
    """Write (1, H, W) in [0, 1] as a grey PNG of 8 or 16 bits."""
    _write(path, alpha, 1, bits)


def write_trimap(path: _PathLike, trimap: Tensor) -> None:
    """Write (1, H, W) with the values {0, 1/2, 1} as a grey PNG with 0, 128 and 255. Raises ValueError on others."""
    if not ((trimap == 0) | (trimap == 0.5) | (trimap == 1)).all():
        raise ValueError(f"{path}: a trimap holds 0, 1/2 and 1 only")
    _write(path, trimap, 1, 8)


def write_rgba(path: _PathLike, rgba: Tensor, bits: int = 8, text: Mapping[str, str] | None = None) -> None:
    """Write straight (4, H, W) in [0, 1] as RGBA PNG of 8 or 16 bits a channel, with `text` in it (`read_text`)."""
    _write(path, rgba, 4, bits, text)


def write_strips(path: _PathLike, shape: Sequence[int], strips: Iterable[Tensor | np.ndarray], bits: int = 8) -> None:
    """Write strips of a picture of shape (C, H, W), from the top, as a PNG of 8 or 16 bits: all is never in memory.

    Strips are (C, n, W) in [0, 1], or the integers (n, W, C) that the file will have. In less time than by the others,
    a little larger; of 8 bits values are rounded in float32.
    """
    channels, height, width = shape
    png = QuickPng((height, width, channels), bits)
    for strip in strips:
        png.add(strip if isinstance(strip, np.ndarray) else _rounded(_in_range(path, strip), bits))
    replace_file(Path(path), png.file())


def write_quickly(path: _PathLike, picture: Tensor, bits: int = 8) -> None:
    """`write_strips` of all of (1, 3 or 4, H, W)."""
    write_strips(path, picture.shape, picture.detach().cpu().split(STRIP, 1), bits)


def read_text(path: _PathLike) -> dict[str, str]:
    """What `text` a PNG was written with. Decodes the pixels too, so that a truncated file raises BadPicture."""
    return text_of(path, _read(path))


def to_uint8(picture: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> (H, W, C) uint8, values rounded to the nearest."""
    return _to_integers(picture, 255)


def from_uint8(picture: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) of uint8 (or uint16) -> (C, H, W) float32 in [0, 1]."""
    return _to_float(picture)


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) or (N, C, H, W) -> the same at (height, width) = size, bilinear.

    When shrinking, the filter widens with the factor (every input pixel counts, no aliasing). Stays within the
    range of the input. Channels are treated alike: premultiply straight RGBA first if its hidden colour matters.
    """
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    batch = picture if picture.ndim == 4 else picture[None]
    batch = F.interpolate(batch, size=tuple(size), mode="bilinear", antialias=True, align_corners=False)
    return batch if picture.ndim == 4 else batch[0]


def resize_lanczos(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) of 1, 3 or 4 channels -> the same at (height, width) = size by Pillow's Lanczos filter of 3 lobes.

    What data sets for generators are made with. Grey and colour are brought to 8 bits and resized as such. Straight
    RGBA is resized premultiplied in float32 and clipped; where nothing is left of alpha, colour is 0.
    """
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    if picture.shape[0] != 4:
        return _to_float(lanczos(to_uint8(picture), size))
    colour, alpha = split_rgba(picture)
    planes = torch.cat([colour * alpha, alpha]).permute(1, 2, 0).contiguous().numpy()
    resized = torch.from_numpy(lanczos(planes, size)).permute(2, 0, 1).clamp(0, 1)
    colour, alpha = split_rgba(resized)
    return torch.cat([torch.where(alpha > 0, colour / alpha, 0).clamp(0, 1), alpha])


def write_animation(path: _PathLike, frames: Iterable[Tensor], fps: float) -> None:
    """Write frames (4, H, W), straight RGBA in [0, 1], as an endless animation, .webp or .png by the name."""
    replace_file(Path(path), animate(path, (to_uint8(frame) for frame in frames), fps))


def read_decoded(path: _PathLike) -> Decoded:
    """Whole file -> integers, upright. The file is read once, so that it cannot change between two decoders."""
    return decode(path, _read(path))


def _read(path: _PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise BadPicture(path, "no such file") from None
    except NotADirectoryError:
        return _read_member(path)
    except IsADirectoryError:
        raise BadPicture(path, "is a folder, expected a picture file") from None
    except OSError as error:
        raise BadPicture(path, f"cannot be read ({error.strerror or error})") from None


def _read_member(path: _PathLike) -> bytes:
    """Of a tar shard, named as if the shard were a folder."""
    try:
        if is_member(path):
            return read_member(path)
    except (OSError, ValueError, tarfile.TarError) as error:
        raise BadPicture(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    raise BadPicture(path, "no such file")


def _to_float(array: np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) -> (C, H, W). OpenCV takes colours apart several times as fast as NumPy does."""
    top = np.float32(65535 if array.dtype == np.uint16 else 255)
    rows = array if array.ndim == 3 else array[..., None]
    found = np.empty((rows.shape[2], *rows.shape[:2]), np.float32)
    for first in range(0, len(rows), STRIP):
        planes = cv2.split(np.ascontiguousarray(rows[first : first + STRIP]))
        for plane, own in zip(planes, found, strict=True):
            np.divide(plane, top, out=own[first : first + STRIP])
    return torch.from_numpy(found)


def _to_integers(picture: Tensor, top: int) -> np.ndarray:
    """(C, H, W) in [0, 1] -> (H, W, C) of 0 ... top, rounded. In strips: 24 megapixels in doubles would be 0.8 GB."""
    channels, height, width = picture.shape
    found = np.empty((height, width, channels), np.uint8 if top < 256 else np.uint16)
    for first in range(0, height, STRIP):
        strip = picture[:, first : first + STRIP].detach().cpu().double()
        rounded = strip.clamp_(0, 1).mul_(top).add_(0.5).numpy().astype(found.dtype)
        cv2.merge(list(rounded), found[first : first + STRIP])
    return found


def _rounded(strip: Tensor, bits: int) -> np.ndarray:
    """(C, h, W) in [0, 1] -> (h, W, C) of integers, rounded: of 8 bits in half of the time of `_to_integers`."""
    if bits > 8:
        return _to_integers(strip, 2**bits - 1)
    return cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in strip.numpy()])


def _write(
    path: _PathLike,
    picture: Tensor,
    channels: int,
    bits: int,
    text: Mapping[str, str] | None = None,
) -> None:
    path = Path(path)
    if picture.ndim != 3 or picture.shape[0] != channels:
        raise ValueError(f"{path}: expected a picture of shape ({channels}, H, W), got {tuple(picture.shape)}")
    _demand_finite(path, picture)
    if bits not in (8, 16):
        raise ValueError(f"{path}: pictures have 8 or 16 bits, got {bits}")
    array = _to_integers(picture, 2**bits - 1)
    replace_file(path, encode(path, array[..., 0] if channels == 1 else array, text))


def _in_range(path: _PathLike, picture: Tensor) -> Tensor:
    """Clipped to [0, 1], where it needs to be. Raises ValueError for NaN and infinity."""
    least, most = torch.aminmax(picture)
    if least >= 0 and most <= 1:
        return picture
    return _demand_finite(path, picture).clamp(0, 1)


def _demand_finite(path: _PathLike, picture: Tensor) -> Tensor:
    """The same. Of NaN neither the least nor the greatest value is finite."""
    if picture.numel() and not torch.isfinite(torch.stack(torch.aminmax(picture))).all():
        raise ValueError(f"{path}: the picture holds NaN or infinity and was not written")
    return picture
