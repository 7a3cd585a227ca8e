"""The distance consistency loss (arXiv 2408.10539) on one picture: value, floor, excess, and a heat map of where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylematte.config import DdcConfig, DdcRegion
from stylematte.errors import ConfigError, DataError
from stylematte.evaluate.loss_picture import draw
from stylematte.fields import impossible, to_plain
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, write_rgb
from stylematte.losses.ddc import PAPER, Sweep, ddc_maps, known_region
from stylematte.trimap import problem


@dataclass(frozen=True)
class DdcOfPicture:
    """Means per pixel and neighbour over the region; the last three only with a trimap. `picture` shows where."""

    config: DdcConfig
    stable_ties: bool
    value: float
    floor: float
    """Of a constant matte."""
    excess: float
    picture: Path
    unknown_share: float | None = None
    excess_unknown: float | None = None
    known_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        asked = {key: value for key, value in to_plain(self.config).items() if key != "warmup"}
        given = {key: value for key, value in vars(self).items() if value is not None and key != "config"}
        return {**asked, **given, "picture": str(self.picture)}


def ddc_of_picture(
    image: Path,
    alpha: Path,
    out: Path,
    trimap: Path | None = None,
    config: DdcConfig = PAPER,
    stable_ties: bool = False,
) -> DdcOfPicture:
    """Measure the matte `alpha` of the photo `image`, and write the PNG `out`. Raises DataError, ConfigError.

    trimap: black, mid-grey and white; needed for region "unknown". stable_ties: the same neighbours on every machine.
    """
    if wrong := list(impossible(config)):
        raise ConfigError("; ".join(f"--{line}" for line in wrong))
    _check_out(out, (image, alpha, trimap))
    photo, matte = read_rgb(image)[None], read_alpha(alpha)[None]
    _same_size(alpha, matte, image, photo)
    known = None if trimap is None else _read_trimap(trimap, image, photo)
    try:
        value_map, floor_map = ddc_maps(photo, matte, known, config, Sweep(stable_ties))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    unknown = torch.zeros_like(matte, dtype=torch.bool) if known is None else known == 0.5
    region = unknown if config.region is DdcRegion.unknown else torch.ones_like(unknown)
    value, floor = (float(part[region].double().mean()) for part in (value_map, floor_map))
    heat = value_map - floor_map
    with_trimap: dict[str, float] = {}
    if known is not None:
        with_trimap["unknown_share"] = float(unknown.float().mean())
        with_trimap["excess_unknown"] = float(heat[unknown].mean())
        with_trimap["known_error"] = float(known_region(matte, known))
    outside = (known[0] != 0.5) if known is not None and config.region is DdcRegion.unknown else None
    title = f"{config.variant.value}: value {value:.5f}, floor {floor:.5f}, excess {value - floor:.5f}"
    write_rgb(out, draw(photo[0], matte[0], heat[0], outside, title))
    return DdcOfPicture(config, stable_ties, value, floor, value - floor, out, **with_trimap)


def _check_out(out: Path, read: tuple[Path | None, ...]) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(f"-o {out}: the heat map is written as .png")
    if out.is_dir():
        raise ConfigError(f"-o {out}: is a folder; name a file in it")
    for given in read:
        if given is not None and given.exists() and out.exists() and out.samefile(given):
            raise ConfigError(f"-o {out}: would overwrite what is read; choose another name")


def _same_size(path: Path, picture: Tensor, image_path: Path, image: Tensor) -> None:
    if picture.shape[-2:] != image.shape[-2:]:
        (height, width), (h, w) = picture.shape[-2:], image.shape[-2:]
        raise DataError(f"{path}: {width} x {height} pixels, {image_path.name} has {w} x {h}; bring both to one size")


def _read_trimap(path: Path, image_path: Path, image: Tensor) -> Tensor:
    """(1, 1, H, W) of exactly 0, 1/2 and 1."""
    trimap = read_trimap(path)
    _same_size(path, trimap, image_path, image)
    reason = problem(trimap)
    if reason:
        raise DataError(f"{path}: {reason}")
    return trimap[None]
