"""Photos -> files of their alphas, cut-outs and composites, by a trained matter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.imagefile import read_rgb, resize, write_alpha, write_rgb, write_rgba
from stylematte.inference.matter import Matter, cut_out
from stylematte.inference.options import InferenceOptions, check_piece, predict_in, read_trimap_of
from stylematte.inference.photos import LeftOut
from stylematte.rgba import composite, split_rgba

log = logging.getLogger("stylematte")


class Photo(NamedTuple):
    """image (3, H, W), trimap (1, H, W)."""

    path: Path
    image: Tensor
    trimap: Tensor | None


class Matted(NamedTuple):
    """What was written of a photo: files by their kind (alpha, cutout, composite)."""

    photo: Path
    files: dict[str, Path]


class Mattes(NamedTuple):
    written: list[Matted]
    left_out: list[LeftOut]


def write_mattes(
    matter: Matter,
    photos: Sequence[Path],
    out: Path,
    *,
    options: InferenceOptions | None = None,
    trimaps: Path | None = None,
    batch: int = 4,
    bits: int = 8,
    background: str | None = None,
    track: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> Mattes:
    """Write NAME_alpha.png and NAME_cutout.png (straight RGBA) of each photo into `out`.

    options: how they are shown (None: as is usual for this matter). trimaps: a trimap, or a folder of NAME.png or
    NAME_trimap.png. batch: photos of one size that go through the network at once. bits: 8 or 16. background: a colour
    or a picture; also writes NAME_composite.png. Photos that cannot be read are left out, unless there is only one.
    Raises ConfigError, BadPicture, and DataError if none is left.
    """
    if batch < 1:
        raise ConfigError(f"--batch {batch}: must be at least 1")
    behind = None if background is None else read_background(background)
    options = options or matter.options
    result = Mattes([], [])

    def readable() -> Iterator[Photo]:
        for path in track(photos):
            try:
                yield _read(path, trimaps, options)
            except BadPicture as error:
                if len(photos) == 1:
                    raise
                result.left_out.append(LeftOut(path, str(error)))
                log.warning("left out %s", error)

    for photo, alpha in _matted(readable(), matter, options, batch):
        result.written.append(Matted(photo.path, _write(photo, alpha, out, bits, behind)))
    if not result.written:
        raise DataError(f"none of {len(photos)} pictures could be read, the first as: {result.left_out[0].reason}")
    return result


def _read(path: Path, trimaps: Path | None, options: InferenceOptions) -> Photo:
    image = read_rgb(path)
    check_piece(path, image, options)
    return Photo(path, image, None if trimaps is None else read_trimap_of(_trimap_of(path, trimaps), path, image))


def _trimap_of(photo: Path, trimaps: Path) -> Path:
    if not trimaps.is_dir():
        return trimaps
    names = [trimaps / f"{photo.stem}{ending}.png" for ending in ("_trimap", "")]
    return next((name for name in names if name.is_file()), names[0])


def _matted(
    photos: Iterable[Photo], matter: Matter, options: InferenceOptions, batch: int
) -> Iterator[tuple[Photo, Tensor]]:
    """Each photo with its alpha; photos of one size go together. At most four batches wait at a time."""
    waiting: dict[tuple[int, ...], list[Photo]] = {}

    def done(group: list[Photo]) -> Iterator[tuple[Photo, Tensor]]:
        trimaps = [photo.trimap for photo in group if photo.trimap is not None]
        alphas = predict_in(matter.network, [photo.image for photo in group], options, trimaps or None)
        yield from zip(group, alphas, strict=True)

    for photo in photos:
        shape = tuple(photo.image.shape)
        group = waiting.setdefault(shape, [])
        group.append(photo)
        if len(group) == batch:
            yield from done(waiting.pop(shape))
        elif sum(map(len, waiting.values())) >= 4 * batch:
            yield from done(waiting.pop(next(iter(waiting))))
    for group in waiting.values():
        yield from done(group)


def _write(photo: Photo, alpha: Tensor, out: Path, bits: int, background: Tensor | None) -> dict[str, Path]:
    rgba = cut_out(photo.image, alpha)
    files = {kind: out / f"{photo.path.stem}_{kind}.png" for kind in ("alpha", "cutout")}
    write_alpha(files["alpha"], alpha, bits)
    write_rgba(files["cutout"], rgba, bits)
    if background is not None:
        files["composite"] = out / f"{photo.path.stem}_composite.png"
        foreground, _ = split_rgba(rgba)
        write_rgb(files["composite"], composite(foreground, alpha, covering(background, alpha.shape[-2:])))
    return files


def read_background(asked: str) -> Tensor:
    """(3, 1, 1) of a colour such as white or #ff8800, (3, H, W) of a picture. Raises ConfigError, BadPicture."""
    from PIL import ImageColor

    if Path(asked).is_file():
        return read_rgb(asked)
    try:
        colour = ImageColor.getrgb(asked)[:3]
    except ValueError:
        raise ConfigError(f"--background {asked}: neither a picture nor a colour such as white or #ff8800") from None
    return torch.tensor(colour, dtype=torch.float32)[:, None, None] / 255


def covering(picture: Tensor, size: tuple[int, ...]) -> Tensor:
    """picture (3, h, w) scaled to cover size (H, W), its middle cut out; a (3, 1, 1) colour stays as it is."""
    if picture.shape[-2:] == (1, 1):
        return picture
    scale = max(size[0] / picture.shape[-2], size[1] / picture.shape[-1])
    height, width = (max(want, round(have * scale)) for want, have in zip(size, picture.shape[1:], strict=True))
    large = resize(picture, (height, width))
    top, left = (large.shape[-2] - size[0]) // 2, (large.shape[-1] - size[1]) // 2
    return large[:, top : top + size[0], left : left + size[1]]
