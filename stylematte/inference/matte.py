"""Photos -> files of their alphas, cut-outs and composites: by a trained matter, or by a trimap alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.imagefile import read_rgb, resize, write_quickly, write_rgb, write_strips
from stylematte.inference.by_trimap import METHODS, alpha_by
from stylematte.inference.known import Known
from stylematte.inference.matter import FOREGROUNDS, Matter, cut_out, cut_out_strips
from stylematte.inference.options import InferenceOptions, alphas_of_views, at_full_size, check_piece, view_of
from stylematte.inference.photos import LeftOut, NamedPhoto
from stylematte.inference.pipeline import Group, grouped, pipelined
from stylematte.inference.predict import takes_trimap
from stylematte.ops.pymatting_methods import method as loaded
from stylematte.pixels import Pixels, Scratch, read_pixels, whole
from stylematte.rgba import composite, split_rgba

log = logging.getLogger("stylematte")
NETWORK = "network"


class Photo(NamedTuple):
    """image (3, H, W), trimap (1, H, W), view (3, h, w): what the network sees; None where there is none."""

    named: NamedPhoto
    image: Pixels
    trimap: Tensor | None
    view: Tensor | None


class Predicted(NamedTuple):
    """alpha (1, h, w) as the network gave it for the photo's view, (1, H, W) without a view."""

    photo: Photo
    alpha: Tensor


class Matted(NamedTuple):
    """What was written of a photo: files by their kind (alpha, cutout, composite)."""

    photo: Path
    files: dict[str, Path]


class Failed(NamedTuple):
    photo: Path
    error: DataError


class Mattes(NamedTuple):
    """existing: photos that were skipped, because their files are there. method: by which the alphas were made."""

    written: list[Matted]
    left_out: list[LeftOut]
    existing: list[Path]
    method: str


class Outputs(NamedTuple):
    """What is written of each photo: NAME_alpha.png, and unless `alpha_only` NAME_cutout.png (straight RGBA).

    bits: 8 or 16. foreground: how the cut-out's colours are found, one of FOREGROUNDS. background: a colour or a
    picture; also writes NAME_composite.png. skip_existing: photos whose files are all there are left alone.
    """

    alpha_only: bool = False
    bits: int = 8
    foreground: str = "fast"
    background: str | None = None
    skip_existing: bool = False

    def check(self) -> None:
        """Raises ConfigError."""
        if self.foreground not in FOREGROUNDS:
            raise ConfigError(f"--foreground {self.foreground}: expected {', '.join(FOREGROUNDS)}")
        if self.alpha_only and self.background is not None:
            raise ConfigError("--background needs the cut-out, which --alpha-only leaves away: give one of the two")

    def files(self, out: Path, name: str) -> dict[str, Path]:
        kinds = ["alpha"] if self.alpha_only else ["alpha", "cutout"]
        kinds += [] if self.background is None else ["composite"]
        return {kind: out / f"{name}_{kind}.png" for kind in kinds}


def write_mattes(
    matter: Matter | None,
    photos: Sequence[NamedPhoto],
    out: Path,
    *,
    options: InferenceOptions | None = None,
    known: Known | None = None,
    method: str = NETWORK,
    batch: int = 4,
    outputs: Outputs | None = None,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Mattes:
    """Write what `outputs` names of each photo into `out`, in the folders that their names have.

    options: how photos are shown (None: as is usual for this matter). known: trimaps or masks. method: "network", or
    of `by_trimap.METHODS`, for which `known` is needed and `matter` is not; a network that takes no trimap leaves masks
    to "closed-form". batch: photos of one size that go through the network at once. Whatever their sizes, at most
    `pipeline.MOST_PIXELS` of them are in memory. Photos that cannot be used are left out, unless there is only one.
    Raises ConfigError, BadPicture, and DataError if none is left.
    """
    outputs = outputs or Outputs()
    outputs.check()
    if batch < 1:
        raise ConfigError(f"--batch {batch}: must be at least 1")
    method = chosen_method(matter, known, method)
    behind = None if outputs.background is None else read_background(outputs.background)
    check_out(out)
    existing = [photo for photo in photos if outputs.skip_existing and _there(outputs.files(out, photo.name))]
    todo = [photo for photo in photos if photo not in set(existing)]
    result = Mattes([], [], [photo.path for photo in existing], method)
    if not outputs.alpha_only and outputs.foreground != "none":
        loaded("foreground.estimate_foreground_ml")  # here, not in the thread that writes: see `pymatting_methods`
    options = options or (InferenceOptions() if matter is None else matter.options)
    read = partial(_read_group, known=known, options=options if method == NETWORK else None)
    work = partial(_alphas, matter=matter, options=options, method=method)
    write = partial(_write_group, out=out, outputs=outputs, background=behind, scratch=Scratch())
    for done in track(_Counted(lambda: pipelined(grouped(todo, batch), read, work, write), len(todo))):
        if isinstance(done, Matted):
            result.written.append(done)
            continue
        if len(photos) == 1:
            raise done.error
        result.left_out.append(LeftOut(done.photo, str(done.error)))
        log.warning("left out %s", done.error)
    if not result.written and not existing:
        raise DataError(f"none of {len(photos)} pictures could be used, the first as: {result.left_out[0].reason}")
    return result


def chosen_method(matter: Matter | None, known: Known | None, method: str) -> str:
    """By what the alphas are made. Raises ConfigError for a method that is none, or lacks what it needs."""
    if method not in (NETWORK, *METHODS):
        raise ConfigError(f"--method {method}: expected {', '.join((NETWORK, *METHODS))}")
    if method != NETWORK:
        if known is None:
            raise ConfigError(f"--method {method} needs --trimap or --mask: what is known of each photo")
        return method
    assert matter is not None, "a network predicts"
    return "closed-form" if known is not None and known.masks and not takes_trimap(matter.network) else NETWORK


def check_out(out: Path) -> None:
    """Raises DataError unless files can be written into `out`, which need not exist yet."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise DataError(f"-o {out}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"-o {out}: nothing can be written into {there}; name another folder, or change its rights")


class _Counted:
    """An iterator with a length, for a bar."""

    def __init__(self, start: Callable[[], Iterator[Matted | Failed]], count: int) -> None:
        self.start, self.count = start, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Matted | Failed]:
        return self.start()


def _there(files: dict[str, Path]) -> bool:
    return all(file.is_file() for file in files.values())


def _read_group(group: Group, known: Known | None, options: InferenceOptions | None) -> list[Photo | Failed]:
    """options: how a network sees them, None if none does."""
    found: list[Photo | Failed] = []
    for named in group.photos:
        try:
            image = read_pixels(named.path)
            if options is not None:
                check_piece(named.path, image, options)
            trimap = None if known is None else known.trimap(named, image)
            found.append(Photo(named, image, trimap, None if options is None else view_of(image, options)))
        except DataError as error:
            found.append(Failed(named.path, error))
    return found


def _alphas(
    photos: list[Photo | Failed], matter: Matter | None, options: InferenceOptions, method: str
) -> list[Predicted | Failed]:
    done: list[Predicted | Failed] = [photo for photo in photos if isinstance(photo, Failed)]
    read = [photo for photo in photos if isinstance(photo, Photo)]
    if method != NETWORK:
        return done + [_solved(photo, method) for photo in read]
    assert matter is not None, "a network predicts"
    for _, same in groupby(read, lambda photo: photo.image.shape):
        group = list(same)
        trimaps = [photo.trimap for photo in group if photo.trimap is not None]
        views = [photo.view for photo in group if photo.view is not None]
        alphas = alphas_of_views(matter.network, views, options, trimaps or None)
        done += map(Predicted, group, alphas)
    return done


def _solved(photo: Photo, method: str) -> Predicted | Failed:
    assert photo.trimap is not None, "these methods have one"
    try:
        return Predicted(photo, alpha_by(method, photo.image.whole(), photo.trimap))
    except DataError as error:
        return Failed(photo.named.path, BadPicture(photo.named.path, str(error)))


def _write_group(
    done: list[Predicted | Failed], out: Path, outputs: Outputs, background: Tensor | None, scratch: Scratch
) -> list[Matted | Failed]:
    return [each if isinstance(each, Failed) else _write(each, out, outputs, background, scratch) for each in done]


def _write(done: Predicted, out: Path, outputs: Outputs, background: Tensor | None, scratch: Scratch) -> Matted:
    photo, alpha = done
    if photo.view is not None:
        alpha = at_full_size(alpha, photo.view, photo.image, photo.trimap, scratch)
    files = outputs.files(out, photo.named.name)
    write_files(files, photo.image, alpha, outputs, background)
    return Matted(photo.named.path, files)


def write_files(
    files: Mapping[str, Path], image: Tensor | Pixels, alpha: Tensor, outputs: Outputs, background: Tensor | None
) -> None:
    """What `outputs` names of a photo (3, H, W) with alpha (1, H, W). background: as `read_background` gives it."""
    if "cutout" in files and background is None:
        strips = cut_out_strips(image, alpha, outputs.foreground, outputs.bits)
        write_strips(files["cutout"], (4, *alpha.shape[-2:]), strips, outputs.bits)
    elif background is not None:
        rgba = cut_out(whole(image), alpha, outputs.foreground)
        write_quickly(files["cutout"], rgba, outputs.bits)
        foreground, _ = split_rgba(rgba)
        write_rgb(files["composite"], composite(foreground, alpha, covering(background, alpha.shape[-2:])))
    write_quickly(files["alpha"], alpha, outputs.bits)


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
