"""Reads RGBA files of any depth: PNG, WebP and 8-bit TIFF by `imagecode`, deep TIFF by OpenCV, EXR by OpenEXR.

OpenEXR is the optional extra `exr`. An EXR file is linear light and premultiplied by its standard: it is brought to
sRGB and divided here. A side-car NAME.json beside NAME.EXT says more: prompt, seed, licence, model, group, and the
hints of `ingest` (premultiplied, channels, top).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from stylematte.errors import BadPicture, ConfigError
from stylematte.imagecode import MAX_PIXELS, decode

ENDINGS = (".png", ".webp", ".tif", ".tiff", ".exr")
PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
TIFF_DEEP = (np.uint16, np.float32)


class ReadFile(NamedTuple):
    """rgba (4, H, W) float32 as the file has it, 1 where it has no alpha; bits: of a number in it (32: float)."""

    rgba: Tensor
    bits: int


def read_file(path: Path) -> ReadFile:
    """Raises BadPicture; ConfigError for an EXR file where OpenEXR is not installed."""
    if path.suffix.lower() == ".exr":
        return ReadFile(_tensor(_read_exr(path)), 32)
    data = _bytes(path)
    if path.suffix.lower() in (".tif", ".tiff"):
        deep = _read_tiff(path, data)
        if deep is not None:
            return deep
    colour, alpha = decode(path, data)
    if alpha is None:
        alpha = np.full(colour.shape[:2], 65535 if colour.dtype == np.uint16 else 255, colour.dtype)
    return _scaled(np.dstack([colour, alpha]))


def sidecar(path: Path) -> dict[str, Any]:
    """What NAME.json beside the file says; {} without one. Raises BadPicture."""
    file = path.with_suffix(".json")
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadPicture(file, f"is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise BadPicture(file, "expected a JSON object")
    return found


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light -> sRGB (IEC 61966-2-1)."""
    linear = np.maximum(linear, 0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055).astype(np.float32)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(path, f"cannot be read ({error.strerror or error})") from None


def _read_tiff(path: Path, data: bytes) -> ReadFile | None:
    """16-bit and float TIFF, which Pillow reads with 8 bits or not at all; None for all others."""
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype not in TIFF_DEEP or array.ndim != 3:
        return None
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise BadPicture(path, f"more than {MAX_PIXELS} pixels: scale it down or cut it first")
    one = np.ones(array.shape[:2], array.dtype) * (65535 if array.dtype == np.uint16 else 1)
    alpha = array[..., 3] if array.shape[2] == 4 else one
    return _scaled(np.dstack([array[..., 2::-1], alpha]))  # OpenCV stores BGR(A)


def _scaled(array: np.ndarray) -> ReadFile:
    bits = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}.get(array.dtype, 32)
    top = 1.0 if bits == 32 else float(2**bits - 1)
    return ReadFile(_tensor(array.astype(np.float32) / top), bits)


def _read_exr(path: Path) -> np.ndarray:
    try:
        import OpenEXR
    except ImportError:
        raise ConfigError(f"{path}: EXR files need the extra: pip install 'stylematte[exr]'") from None
    try:
        channels = OpenEXR.File(str(path)).channels()
        if "RGBA" in channels:
            rgba = np.asarray(channels["RGBA"].pixels, np.float32)
        else:
            rgba = np.dstack([np.asarray(channels["RGB"].pixels, np.float32), np.asarray(channels["A"].pixels)])
    except KeyError:
        raise BadPicture(path, "has no channels R, G, B and A") from None
    except Exception as error:  # OpenEXR raises RuntimeError and others on broken bytes
        raise BadPicture(path, f"broken picture ({error or type(error).__name__})") from None
    alpha = np.clip(rgba[..., 3:], 0, 1)
    straight = np.where(alpha > 0, rgba[..., :3] / np.maximum(alpha, 1e-6), 0)
    return np.concatenate([to_srgb(np.clip(straight, 0, 1)), alpha], -1)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), np.float32))
