"""Making data sets for a generator: any folder or ZIP of pictures -> squares of one size, as StyleGAN's tools read."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import from_bytes, resize_lanczos, to_png
from stylemattegan.dataset import LABELS, Files, read_labels
from stylemattegan.framing import frame_cutout

Crop = Literal["center", "wide", "none", "subject"]
Channels = Literal["as-is", "rgb", "rgba"]
IN_A_FOLDER = 1000
Put = Callable[[str, bytes], None]


class Made(NamedTuple):
    """What `make_dataset` has done: the pictures written, and (name, reason) of those left out."""

    written: int
    left_out: list[tuple[str, str]]


def crop_and_resize(picture: Tensor, size: tuple[int, int] | None, crop: Crop) -> Tensor:
    """Picture (C, H, W) in [0, 1], straight if it has alpha -> what goes into the data set, size = (height, width).

    center: the middle square, resized. wide: the middle part of the shape width : height, resized, on black
    (transparent, if there is alpha) bars above and below to a square of width. none: resized as a whole, whatever
    becomes of the shape. subject: an RGBA cut-out framed about its subject (`frame_cutout`). Without a size the
    picture keeps its pixels. Raises ValueError where that cannot be done.
    """
    height, width = picture.shape[1:]
    if crop == "none":
        return picture if size is None else resize_lanczos(picture, size)
    if crop == "center":
        middle = _middle(picture, min(height, width), min(height, width))
        return middle if size is None else resize_lanczos(middle, size)
    if size is None:
        raise ValueError(f"crop {crop} needs a resolution")
    if crop == "subject":
        if picture.shape[0] != 4:
            raise ValueError("has no alpha to frame the subject by")
        return frame_cutout(picture, size[1])
    if width < size[1] or height < size[0]:
        raise ValueError(f"{width} x {height} is smaller than {size[1]} x {size[0]}")
    scale = min(height / size[0], width / size[1])
    part = resize_lanczos(_middle(picture, round(size[0] * scale), round(size[1] * scale)), size)
    square = picture.new_zeros(picture.shape[0], size[1], size[1])
    top = (size[1] - size[0]) // 2
    square[:, top : top + size[0]] = part
    return square


def make_dataset(
    source: Path,
    dest: Path,
    size: tuple[int, int] | None = None,
    crop: Crop = "none",
    *,
    channels: Channels = "as-is",
    folders_are_classes: bool = False,
    most: int | None = None,
    track: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Made:
    """Write `dest`, a .zip or a new folder, of the pictures of `source` in the order of their names. Atomic.

    Labels of the source's dataset.json are kept; folders_are_classes makes them of the folder names instead, in
    alphabetical order. Pictures that cannot be used are left out. track: hands the names through, for a progress bar.
    Raises DataError if fewer than two are left, if sizes or channels differ, or if they are no square with a power
    of two.
    """
    files = Files(source)
    table = _classes(files.pictures) if folders_are_classes else read_labels(files)
    left_out: list[tuple[str, str]] = []
    labels: list[list[Any]] = []
    shape: tuple[int, ...] | None = None
    with _new(dest) as put:
        for name in track(files.pictures[:most]):
            try:
                picture = _with_channels(from_bytes(f"{source}/{name}", files.read(name)), channels)
                picture = crop_and_resize(picture, size, crop)
            except BadPicture as error:
                left_out.append((name, error.reason))
                continue
            except ValueError as error:
                left_out.append((name, str(error)))
                continue
            _check(source, name, picture, shape)
            shape = tuple(picture.shape)
            number = len(labels)
            target = f"{number // IN_A_FOLDER:05d}/img{number:08d}.png"
            put(target, to_png(picture))
            labels.append([target, table.get(name)])
        if len(labels) < 2:
            why = f"; left out {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
            raise DataError(f"{source}: {len(labels)} pictures can be used, a data set needs at least 2{why}")
        known = all(label is not None for _, label in labels)
        put(LABELS, json.dumps({"labels": labels if known else None}).encode())
    return Made(len(labels), left_out)


def _middle(picture: Tensor, height: int, width: int) -> Tensor:
    top, left = (picture.shape[1] - height) // 2, (picture.shape[2] - width) // 2
    return picture[:, top : top + height, left : left + width]


def _with_channels(picture: Tensor, channels: Channels) -> Tensor:
    if channels == "as-is":
        return picture
    colour = picture[:3].expand(3, -1, -1)
    if channels == "rgb":
        return colour
    return torch.cat([colour, picture[3:] if picture.shape[0] == 4 else torch.ones_like(colour[:1])])


def _classes(names: list[str]) -> dict[str, int]:
    folders = sorted({name.rpartition("/")[0] for name in names})
    return {name: folders.index(name.rpartition("/")[0]) for name in names}


def _check(source: Path, name: str, picture: Tensor, before: tuple[int, ...] | None) -> None:
    channels, height, width = picture.shape
    found = f"{source}/{name}: {width} x {height} with {channels} channels"
    if before is not None and tuple(picture.shape) != before:
        cure = "give --resolution and --crop" if before[1:] != (height, width) else "give --channels rgb or rgba"
        raise DataError(f"{found}, the ones before {before[2]} x {before[1]} with {before[0]}: {cure}")
    if height != width or width & (width - 1):
        raise DataError(f"{found}, expected a square with a power of two: give --resolution 256 --crop center")


@contextmanager
def _new(dest: Path) -> Iterator[Put]:
    """Write files into a .zip or a folder that appears, whole, when all went well. Nothing is overwritten."""
    if dest.exists() and (dest.is_file() or any(dest.iterdir())):
        raise DataError(f"{dest}: exists; name a new one, nothing is overwritten")
    dest.parent.mkdir(parents=True, exist_ok=True)
    partial = dest.with_name(f".{dest.name}.{os.getpid()}.partial")
    try:
        if dest.suffix.lower() == ".zip":
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                yield lambda name, data: archive.writestr(name, data)
        else:
            yield lambda name, data: _put(partial / name, data)
        if dest.is_dir():
            dest.rmdir()
        partial.rename(dest)
    except BaseException:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
        raise


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
