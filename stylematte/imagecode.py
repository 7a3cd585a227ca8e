"""Picture formats: the bytes of PNG, JPEG and others <-> arrays of integers. `imagefile` builds on it.

Decoding gives uint8 or uint16
arrays, upright, colour and alpha apart; encoding takes them. What cannot be decoded raises `BadPicture`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from stylematte.errors import BadPicture
from stylematte.netpbm import ENDINGS, to_netpbm

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused before they are decoded (a 20 kB PNG can unpack to gigabytes)."""
MIN_SIDE = 2

_PathLike = str | os.PathLike[str]
_ORIENTATION_TAG = 0x0112
_JPEG = (".jpg", ".jpeg")
_JPEGS = ("JPEG", "MPO")
_END_OF_JPEG = b"\xff\xd9"
_CLEAR = ("RGBA", "LA", "PA", "RGBa", "La")
_GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_PLUGINS = {".gif", ".avif", ".heic", ".heif"}
_PNG_HEADER = 8 + 25
"""Signature and IHDR: further chunks may follow from here."""


class Decoded(NamedTuple):
    colour: np.ndarray  # (H, W, 3) uint8 or uint16
    alpha: np.ndarray | None  # (H, W), same type


class Header(NamedTuple):
    width: int
    height: int
    channels: int  # 1 grey, 3 colour, 4 colour and alpha


def decode(path: _PathLike, data: bytes) -> Decoded:
    """A whole picture; path is what errors name. Raises BadPicture."""
    endings()  # plugins are known from here on
    if not data:
        raise BadPicture(path, "the file is empty (0 bytes)")
    with _one_line(path):
        return _decode_bytes(path, data)


def header(path: _PathLike, data: bytes) -> Header:
    """Size and channels, without decoding the pixels; as stored, not yet upright. Raises BadPicture."""
    with _one_line(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as picture:
            _check_size(path, picture.width, picture.height)
            clear = picture.mode in _CLEAR or "transparency" in picture.info
            return Header(picture.width, picture.height, 4 if clear else 1 if picture.mode in _GREY else 3)


@cache
def endings() -> frozenset[str]:
    """Of the photos that can be decoded here: AVIF and HEIC by Pillow or its plugins, where they are installed."""
    for plugin in ("pillow_heif:register_heif_opener", "pillow_avif:AvifImagePlugin"):
        name, _, start = plugin.partition(":")
        if importlib.util.find_spec(name) is not None:
            found = getattr(importlib.import_module(name), start, None)
            if callable(found):
                found()
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", *(known & _PLUGINS)})


def upright_size(path: _PathLike) -> tuple[int, int]:
    """(height, width) of a file as it will be decoded, of its header alone. Raises BadPicture."""
    endings()  # plugins are known from here on
    with _one_line(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as picture:
            _check_size(path, picture.width, picture.height)
            turned = _orientation(picture) >= 5
            return (picture.width, picture.height) if turned else (picture.height, picture.width)


def from_pil(path: _PathLike, picture: Image.Image) -> Decoded:
    """A picture that Pillow holds, upright; path is what errors name. Raises BadPicture."""
    with _one_line(path):
        _check_size(path, picture.width, picture.height)
        colour, alpha = _from_pil(path, picture)
        turn = _orientation(picture)
        return Decoded(_upright(colour, turn), None if alpha is None else _upright(alpha, turn))


def encode(path: _PathLike, array: np.ndarray, text: Mapping[str, str] | None = None) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16 -> PNG, with `text` in it; or JPEG, PPM, PGM if the name
    ends so."""
    channels, suffix = 1 if array.ndim == 2 else array.shape[2], Path(path).suffix.lower()
    if suffix in ENDINGS:
        return to_netpbm(array)
    ordered = array if array.ndim == 2 else array[..., [2, 1, 0, 3][:channels]]  # OpenCV stores BGR(A)
    ordered = np.ascontiguousarray(ordered)
    if suffix in _JPEG and channels == 3 and array.dtype == np.uint8:
        done, data = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, 95])
    elif suffix == ".png":
        done, data = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    else:
        raise ValueError(f"{path}: write pictures as .png" + (" or .jpg" if channels == 3 else ""))
    if not done:
        raise OSError(f"{path}: the picture could not be encoded")
    return _with_text(data.tobytes(), text or {})


def text_of(path: _PathLike, data: bytes) -> dict[str, str]:
    """The texts that a PNG carries; none in any other picture. Raises BadPicture."""
    with _one_line(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as picture:
            picture.load()
            return {key: str(value) for key, value in getattr(picture, "text", {}).items()}


def lanczos(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) -> (height, width, C), each channel by itself: uint8 as Pillow resizes 8-bit pictures, else float32."""
    kind = "L" if array.dtype == np.uint8 else "F"
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in array.transpose(2, 0, 1)]
    assert all(plane.mode == kind for plane in planes)
    return np.stack([np.asarray(plane.resize(size[::-1], Image.Resampling.LANCZOS)) for plane in planes], -1)


def animate(path: _PathLike, frames: Iterable[np.ndarray], fps: float) -> bytes:
    """Frames (H, W, 4) of uint8 -> an endless animated WebP or PNG, by the name. All frames are held in memory."""
    formats: dict[str, tuple[str, dict[str, int]]] = {
        ".webp": ("WEBP", {"quality": 85, "method": 2}),
        ".png": ("PNG", {"disposal": 1}),  # each frame on an empty one, not over the last
    }
    if Path(path).suffix.lower() not in formats:
        raise ValueError(f"{path}: animations are written as {' or '.join(formats)}")
    kind, options = formats[Path(path).suffix.lower()]
    first, *others = [Image.fromarray(frame) for frame in frames]
    out = BytesIO()
    first.save(out, kind, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, **options)
    return out.getvalue()


def _with_text(png: bytes, text: Mapping[str, str]) -> bytes:
    """Each entry as an iTXt chunk (PNG 1.2, section 4.2.3: keyword, flags, language, translated keyword, UTF-8)."""
    chunks = []
    for key, value in text.items():
        body = b"iTXt" + key.encode("latin-1") + b"\0" * 5 + value.encode()
        chunks.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return png[:_PNG_HEADER] + b"".join(chunks) + png[_PNG_HEADER:]


@contextmanager
def _one_line(path: _PathLike) -> Iterator[None]:
    """Whatever a decoder raises, as BadPicture."""
    try:
        yield
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(path, "not a picture, or a format that is not supported") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(path, f"more than {MAX_PIXELS} pixels: scale it down or cut it first") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error … on broken bytes
        raise BadPicture(path, f"broken picture ({error or type(error).__name__})") from None


def _decode_bytes(path: _PathLike, data: bytes) -> Decoded:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as picture:
            _check_size(path, picture.width, picture.height)
            orientation = _orientation(picture)
            whole = _decode_jpeg(picture, data)
            decoded = _decode_by_pillow(path, picture, data) if whole is None else Decoded(whole, None)
    colour, alpha = (None if part is None else _upright(part, orientation) for part in decoded)
    assert colour is not None
    return Decoded(colour, alpha)


def _check_size(path: _PathLike, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise BadPicture(path, f"{width} x {height} pixels is too small, at least {MIN_SIDE} x {MIN_SIDE} needed")
    if width * height > MAX_PIXELS:
        raise BadPicture(path, f"{width} x {height} is more than {MAX_PIXELS} pixels: scale it down or cut it first")


def _decode_deep(data: bytes) -> Decoded:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise OSError("16-bit PNG cannot be decoded")
    if array.ndim == 2:
        return Decoded(np.repeat(array[..., None], 3, axis=2), None)
    return Decoded(array[..., 2::-1], array[..., 3] if array.shape[2] == 4 else None)  # OpenCV stores BGR(A)


def _decode_by_pillow(path: _PathLike, picture: Image.Image, data: bytes) -> Decoded:
    picture.load()  # raises on truncated data, which OpenCV would fill with grey
    if picture.format == "PNG" and data[24:25] == b"\x10":  # bit depth in IHDR; PIL keeps only 8 of 16 bits
        return _decode_deep(data)
    return _from_pil(path, picture)


def _decode_jpeg(picture: Image.Image, data: bytes) -> np.ndarray | None:
    """A JPEG of three channels that is whole, by OpenCV: the numbers are Pillow's (both have libjpeg-turbo), the time
    is half. None for any other: what is truncated Pillow refuses, and OpenCV fills with grey."""
    if picture.format not in _JPEGS or picture.mode != "RGB" or not data.endswith(_END_OF_JPEG):
        return None
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return found if found is not None and found.shape == (picture.height, picture.width, 3) else None


def _from_pil(path: _PathLike, picture: Image.Image) -> Decoded:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit grey TIFF and the like
        array = np.asarray(picture)
        if picture.mode == "F" or array.min() < 0 or array.max() > 65535:
            raise BadPicture(path, f"pixel format {picture.mode} is not supported, save it as 8- or 16-bit PNG")
        return Decoded(np.repeat(array.astype(np.uint16)[..., None], 3, axis=2), None)
    if picture.mode in _CLEAR or "transparency" in picture.info:
        array = np.asarray(picture.convert("RGBA") if picture.mode != "La" else picture.convert("LA").convert("RGBA"))
        return Decoded(array[..., :3], array[..., 3])
    return Decoded(np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB")), None)


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF does not make a broken picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF orientation 1..8: 5..8 swap the axes, then each mirrors rows and columns or not. By OpenCV: views with
    swapped axes would be read across their rows by whoever comes next."""
    if orientation >= 5:
        array = cv2.transpose(array)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return cv2.flip(array, -1 if rows and columns else int(columns)) if rows or columns else array
