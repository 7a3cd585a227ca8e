"""Pictures on disk <-> tensors: the only place that opens or writes pictures, the only uint8 <-> float32.

In memory: float32 in [0, 1], straight sRGB, (C, H, W). On disk: 8-bit PNG (or JPEG for `write_rgb`). Reading accepts
what people have: EXIF-rotated JPEG, CMYK, palettes with transparency, 1-bit, grey, LA, 16-bit PNG. What cannot be
read raises `BadPicture` with one line that names the file and the reason. Writing is atomic: readers see the former
file or the whole new one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from stylematte.rgba import checkerboard, composite, split_rgba

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused before they are decoded (a 20 kB PNG can unpack to gigabytes)."""
MIN_SIDE = 2

_PathLike = str | os.PathLike[str]
_ORIENTATION_TAG = 0x0112
_JPEG = (".jpg", ".jpeg")


class BadPicture(ValueError):
    """A file that is no usable picture. The message is one line: the file, then the reason."""

    exit_code = 3  # what the command line ends with

    def __init__(self, path: _PathLike, reason: str) -> None:
        self.path, self.reason = str(path), " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self) -> tuple[type[BadPicture], tuple[str, str]]:
        return type(self), (self.path, self.reason)  # so that it survives the way back from a loading process


class _Decoded(NamedTuple):
    colour: np.ndarray  # (H, W, 3) uint8 or uint16
    alpha: np.ndarray | None  # (H, W), same type


def read_rgb(path: _PathLike) -> Tensor:
    """(3, H, W) in [0, 1]. Transparent places are shown on white, as picture viewers do. Raises BadPicture."""
    colour, alpha = _decode(path)
    if alpha is None:
        return _to_float(colour)
    front = _to_float(alpha)
    return composite(_to_float(colour), front, torch.ones_like(front))


def read_alpha(path: _PathLike) -> Tensor:
    """(1, H, W) in [0, 1]: the alpha channel if the file has one that varies, else luminance. Raises BadPicture."""
    colour, alpha = _decode(path)
    if alpha is not None and alpha.min() != alpha.max():
        return _to_float(alpha)
    if (colour[..., 0] == colour[..., 1]).all() and (colour[..., 0] == colour[..., 2]).all():
        return _to_float(colour[..., 0])
    luminance = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # Rec. 601 luma
    return (_to_float(colour) * luminance).sum(0, keepdim=True).clamp(0, 1)


def read_rgba(path: _PathLike) -> Tensor:
    """(4, H, W) in [0, 1], straight; a file without transparency has alpha 1 everywhere. Raises BadPicture."""
    colour, alpha = _decode(path)
    rgb = _to_float(colour)
    return torch.cat([rgb, torch.ones_like(rgb[:1]) if alpha is None else _to_float(alpha)])


def read_trimap(path: _PathLike) -> Tensor:
    """(1, H, W) with the values {0, 1/2, 1}, of an 8-bit grey picture with 0, 128 (or 127, 129) and 255 only.

    Raises BadPicture that names another value found and the cure: JPEG or smoothing made it, or it is no trimap.
    """
    colour, alpha = _decode(path)
    if colour.dtype != np.uint8 or (alpha is not None and alpha.min() < 255) or np.ptp(colour, axis=2).any():
        raise BadPicture(path, "a trimap is an 8-bit grey picture without transparency; save it as grey PNG")
    grey, unknown = colour[..., 0], np.isin(colour[..., 0], (127, 128, 129))
    stray = grey[~unknown & (grey != 0) & (grey != 255)]
    if stray.size:
        found = f"grey value {np.bincount(stray).argmax()} on {stray.size / grey.size:.1%} of the picture"
        cure = "save it as PNG and scale it by nearest neighbour, or make it of an alpha"
        raise BadPicture(path, f"{found}, a trimap has 0, 128 and 255 only: {cure}")
    return torch.from_numpy(np.where(unknown, np.float32(0.5), (grey == 255).astype(np.float32)))[None]


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


def write_rgba(path: _PathLike, rgba: Tensor, bits: int = 8) -> None:
    """Write straight (4, H, W) in [0, 1] as RGBA PNG of 8 or 16 bits a channel."""
    _write(path, rgba, 4, bits)


def to_uint8(picture: Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] -> (H, W, C) uint8, values rounded to the nearest."""
    return _to_integers(picture, 255).astype(np.uint8)


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


def contact_sheet(pictures: Sequence[Tensor], columns: int, gap: int = 2) -> Tensor:
    """Pictures of 1, 3 or 4 channels in a grid, row by row, on white: (3, H', W').

    RGBA is shown on a checkerboard. Smaller pictures keep their size in the upper left of their cell.
    """
    if not pictures or columns < 1:
        raise ValueError(f"a contact sheet needs pictures and columns, got {len(pictures)} and {columns}")
    shown = [_to_show(picture.detach().cpu().float()) for picture in pictures]
    height, width = (max(picture.shape[axis] for picture in shown) for axis in (1, 2))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    sheet = torch.ones(3, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for place, picture in enumerate(shown):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[:, top : top + picture.shape[1], left : left + picture.shape[2]] = picture
    return sheet


def _to_show(picture: Tensor) -> Tensor:
    if picture.shape[0] == 4:
        colour, alpha = split_rgba(picture)
        picture = composite(colour, alpha, checkerboard(*picture.shape[1:]))
    return picture.expand(3, -1, -1)


def _decode(path: _PathLike) -> _Decoded:
    """Whole file -> integers, upright. The file is read once, so that it cannot change between two decoders."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadPicture(path, "no such file") from None
    except IsADirectoryError:
        raise BadPicture(path, "is a folder, expected a picture file") from None
    except OSError as error:
        raise BadPicture(path, f"cannot be read ({error.strerror or error})") from None
    if not data:
        raise BadPicture(path, "the file is empty (0 bytes)")
    try:
        return _decode_bytes(path, data)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(path, "not a picture, or a format that is not supported") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(path, f"more than {MAX_PIXELS} pixels: scale it down or cut it first") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error … on broken bytes
        raise BadPicture(path, f"broken picture ({error or type(error).__name__})") from None


def _decode_bytes(path: _PathLike, data: bytes) -> _Decoded:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as picture:
            _check_size(path, picture.width, picture.height)
            orientation = _orientation(picture)
            picture.load()  # raises on truncated data, which OpenCV would fill with grey
            if picture.format == "PNG" and data[24:25] == b"\x10":  # bit depth in IHDR; PIL keeps only 8 of 16 bits
                decoded = _decode_deep(data)
            else:
                decoded = _from_pil(path, picture)
    colour, alpha = (None if part is None else _upright(part, orientation) for part in decoded)
    assert colour is not None
    return _Decoded(colour, alpha)


def _check_size(path: _PathLike, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise BadPicture(path, f"{width} x {height} pixels is too small, at least {MIN_SIDE} x {MIN_SIDE} needed")
    if width * height > MAX_PIXELS:
        raise BadPicture(path, f"{width} x {height} is more than {MAX_PIXELS} pixels: scale it down or cut it first")


def _decode_deep(data: bytes) -> _Decoded:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise OSError("16-bit PNG cannot be decoded")
    if array.ndim == 2:
        return _Decoded(np.repeat(array[..., None], 3, axis=2), None)
    return _Decoded(array[..., 2::-1], array[..., 3] if array.shape[2] == 4 else None)  # OpenCV stores BGR(A)


def _from_pil(path: _PathLike, picture: Image.Image) -> _Decoded:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit grey TIFF and the like
        array = np.asarray(picture)
        if picture.mode == "F" or array.min() < 0 or array.max() > 65535:
            raise BadPicture(path, f"pixel format {picture.mode} is not supported, save it as 8- or 16-bit PNG")
        return _Decoded(np.repeat(array.astype(np.uint16)[..., None], 3, axis=2), None)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        array = np.asarray(picture.convert("RGBA") if picture.mode != "La" else picture.convert("LA").convert("RGBA"))
        return _Decoded(array[..., :3], array[..., 3])
    return _Decoded(np.asarray(picture.convert("RGB")), None)


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF does not make a broken picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF orientation 1..8: 5..8 swap the axes, then each mirrors rows and columns or not."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _to_float(array: np.ndarray) -> Tensor:
    top = 65535 if array.dtype == np.uint16 else 255
    channels_first = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(channels_first, dtype=np.float32)).div_(top)


def _to_integers(picture: Tensor, top: int) -> np.ndarray:
    scaled = picture.detach().cpu().double().clamp(0, 1).mul(top).add(0.5).floor()
    return scaled.permute(1, 2, 0).numpy()


def _write(path: _PathLike, picture: Tensor, channels: int, bits: int) -> None:
    path = Path(path)
    if picture.ndim != 3 or picture.shape[0] != channels:
        raise ValueError(f"{path}: expected a picture of shape ({channels}, H, W), got {tuple(picture.shape)}")
    if not torch.isfinite(picture).all():
        raise ValueError(f"{path}: the picture holds NaN or infinity and was not written")
    if bits not in (8, 16):
        raise ValueError(f"{path}: pictures have 8 or 16 bits, got {bits}")
    array = _to_integers(picture, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]  # OpenCV stores BGR(A)
    _replace(path, _encode(path, np.ascontiguousarray(array[..., order]), channels))


def _encode(path: Path, array: np.ndarray, channels: int) -> bytes:
    suffix = path.suffix.lower()
    if suffix in _JPEG and channels == 3 and array.dtype == np.uint8:
        done, data = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, 95])
    elif suffix == ".png":
        done, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    else:
        raise ValueError(f"{path}: write pictures as .png" + (" or .jpg" if channels == 3 else ""))
    if not done:
        raise OSError(f"{path}: the picture could not be encoded")
    return data.tobytes()


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
