"""stylematte matte PHOTO|FOLDER|GLOB|- ... -o OUT"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loop.cli.inference_options import (
    add_inference_options,
    check_inference_options,
    check_piece,
    inference_options,
    read_trimap_of,
)
from loop.cli.photos import left_out_line, matter_at, matter_folder, photos_of, shown
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from stylematte.inference.predict import InferenceOptions


class Photo(NamedTuple):
    path: Path
    image: Tensor
    trimap: Tensor | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", nargs="+", help="pictures, folders, 'quoted globs', or - for a list on stdin")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for NAME_alpha.png and NAME_cutout.png")
    parser.add_argument("--matter", type=Path, help="a run, an export, or a matter folder (default: the newest run)")
    add_inference_options(parser)
    parser.add_argument("--batch", type=int, default=4, help="photos of one size seen at once (default: 4)")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of what is written (default: 8)")
    parser.add_argument("--background", help="also write NAME_composite.png on this colour (red, #ff8800) or picture")
    parser.add_argument(
        "--trimap",
        type=Path,
        help="a trimap (grey 0, 128, 255), or a folder of NAME.png or NAME_trimap.png. Variant detail sees it; with "
        "any other network its known pixels are set in the alpha, no more",
    )
    parser.add_argument("--json", action="store_true", help="list what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    check_inference_options(args)
    if args.batch < 1:
        raise ConfigError(f"--batch {args.batch}: must be at least 1")
    photos = photos_of(args.photo)
    folder = matter_folder(args.matter)
    background = _background(args.background)
    from stylematte.errors import BadPicture

    network, trained_at = matter_at(folder)
    config: Any = network.config
    options = inference_options(args, config, trained_at)
    written, left_out = [], []

    def readable() -> Iterator[Photo]:
        for path in shown(photos, "matting", len(photos)):
            try:
                yield _read(path, args.trimap, options)
            except BadPicture as error:
                if len(photos) == 1:
                    raise
                left_out.append({"photo": str(path), "reason": str(error)})
                print(f"stylematte: left out {error}", file=sys.stderr)

    for photo, alpha in _matted(readable(), network, options, args.batch):
        written.append(_write(photo, alpha, args.out, args.bits, background))
    if not written:
        raise DataError(f"{' '.join(args.photo)}: none of {len(photos)} pictures could be read")
    if args.json:
        print(json.dumps({"matter": str(folder), "written": written, "left_out": left_out}, indent=2))
    else:
        print(f"{len(written)} photos matted into {args.out} with {folder}" + left_out_line(left_out))
    return 0


def _read(path: Path, trimaps: Path | None, options: InferenceOptions) -> Photo:
    from stylematte.imagefile import read_rgb

    image = read_rgb(path)
    check_piece(path, image, options)
    return Photo(path, image, None if trimaps is None else read_trimap_of(_trimap_of(path, trimaps), path, image))


def _trimap_of(photo: Path, trimaps: Path) -> Path:
    if not trimaps.is_dir():
        return trimaps
    names = [trimaps / f"{photo.stem}{ending}.png" for ending in ("_trimap", "")]
    return next((name for name in names if name.is_file()), names[0])


def _matted(
    photos: Iterable[Photo], network: nn.Module, options: InferenceOptions, batch: int
) -> Iterator[tuple[Photo, Tensor]]:
    """Each photo with its alpha; photos of one size go together. At most four batches wait at a time."""
    from stylematte.inference.predict import predict_in

    waiting: dict[tuple[int, ...], list[Photo]] = {}

    def done(group: list[Photo]) -> Iterator[tuple[Photo, Tensor]]:
        trimaps = [photo.trimap for photo in group if photo.trimap is not None]
        alphas = predict_in(network, [photo.image for photo in group], options, trimaps or None)
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


def _write(photo: Photo, alpha: Tensor, out: Path, bits: int, background: Tensor | None) -> dict[str, str]:
    """Straight RGBA with estimated foreground colours: no fringe of the old background."""
    import torch

    from stylematte.imagefile import write_alpha, write_rgb, write_rgba
    from stylematte.ops.foreground import estimate_foreground
    from stylematte.rgba import composite

    foreground = estimate_foreground(photo.image, alpha)
    files = {kind: out / f"{photo.path.stem}_{kind}.png" for kind in ("alpha", "cutout")}
    write_alpha(files["alpha"], alpha, bits)
    write_rgba(files["cutout"], torch.cat([foreground, alpha]), bits)
    if background is not None:
        files["composite"] = out / f"{photo.path.stem}_composite.png"
        write_rgb(files["composite"], composite(foreground, alpha, covering(background, alpha.shape[-2:])))
    return {"photo": str(photo.path), **{kind: str(file) for kind, file in files.items()}}


def _background(asked: str | None) -> Tensor | None:
    """(3, 1, 1) of a colour, (3, H, W) of a picture."""
    if asked is None:
        return None
    import torch
    from PIL import ImageColor

    from stylematte.imagefile import read_rgb

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
    from stylematte.imagefile import resize

    scale = max(size[0] / picture.shape[-2], size[1] / picture.shape[-1])
    height, width = (max(want, round(have * scale)) for want, have in zip(size, picture.shape[1:], strict=True))
    large = resize(picture, (height, width))
    top, left = (large.shape[-2] - size[0]) // 2, (large.shape[-1] - size[1]) // 2
    return large[:, top : top + size[0], left : left + size[1]]
