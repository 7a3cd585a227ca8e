"""Pictures -> their codes in a generator as files: NAME.safetensors and NAME.json each, inverted.jsonl, sheet.png."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from stylematte.atomic import replace_file
from stylematte.errors import BadPicture, DataError
from stylematte.fields import to_plain
from stylematte.imagefile import read_rgba, write_rgba
from stylematte.sheets import on_checkerboard, write_sheet
from stylemattegan.generator_folder import LoadedGenerator
from stylemattegan.inversion import InvertConfig, Perceptual, invert, target
from stylemattegan.inversion.code import cutouts, encoded, to_straight
from stylemattegan.inversion.targets import Targets, stacked

MOST_SHOWN = 32
Cut = Callable[[Tensor], Tensor]
"""RGB (3, H, W) -> straight RGBA (4, H, W)."""
Row = dict[str, Any]


class InvertedFiles(NamedTuple):
    rows: list[Row]
    there: int
    """So many of them were there already."""
    left_out: list[tuple[Path, str]]


def invert_files(
    generator: LoadedGenerator,
    pictures: Sequence[Path],
    out: Path,
    perceptual: Perceptual,
    config: InvertConfig,
    cut: Cut | None = None,
    batch: int = 8,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> InvertedFiles:
    """Invert every picture; those that are there, by the same generator and options, are left alone.

    cut: gives a picture without transparency its alpha. Pictures that cannot be used are left out with the reason,
    unless there is only one: then that is raised. Raises DataError if none is left.
    """
    about = {"generator": generator.digest, "features": perceptual.name, "options": to_plain(config)}
    found: dict[Path, Row] = {}
    due: list[tuple[Path, Row, Targets]] = []
    left_out: list[tuple[Path, str]] = []
    for path in pictures:
        try:
            row = {"picture": path.name, "sha256": _digest(path), **about}
            done = _there(out, path, row)
            if done is not None:
                found[path] = done
            else:
                due.append((path, row, _target(path, cut, generator.network.img_resolution)))
        except DataError as error:
            if len(pictures) == 1:
                raise
            left_out.append((path, str(error)))
    there = len(found)
    for part in track([due[start : start + batch] for start in range(0, len(due), batch)]):
        found |= _write(generator, part, out, perceptual, config)
    if not found:
        raise DataError(f"none of {len(pictures)} pictures could be inverted, the first: {left_out[0][1]}")
    rows = [found[path] for path in pictures if path in found]
    replace_file(out / "inverted.jsonl", "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    shown = [read_rgba(out / f"{Path(row['picture']).stem}.{kind}.png") for row in rows[:MOST_SHOWN] for kind in KINDS]
    write_sheet(out / "sheet.png", [on_checkerboard(each) for each in shown], 8)
    return InvertedFiles(rows, there, left_out)


KINDS = ("target", "inverted")


def _target(path: Path, cut: Cut | None, size: int) -> Targets:
    rgba = read_rgba(path)
    if rgba[3].min() == 1:
        if cut is None:
            raise BadPicture(path, "has no transparency: give a cut-out, or --matter, which cuts it out")
        rgba = cut(rgba[:3])
    try:
        return target(rgba, size)[0]
    except ValueError as error:
        raise BadPicture(path, str(error)) from None


def _write(
    generator: LoadedGenerator,
    part: Sequence[tuple[Path, Row, Targets]],
    out: Path,
    perceptual: Perceptual,
    config: InvertConfig,
) -> dict[Path, Row]:

    targets = stacked([each for _, _, each in part])
    done = invert(generator.network, targets, perceptual, config, straight=generator.straight)
    with torch.no_grad():
        made = to_straight(cutouts(encoded(generator.network, done.code), generator.straight)).cpu()
    rows = {}
    for index, (path, row, _) in enumerate(part):
        figures = {
            "psnr": round(float(done.psnr[index]), 3),
            "distance": round(float(done.distance[index]), 5),
            "alpha_sad": round(float(done.alpha_sad[index]), 5),
            "loss_initial": round(float(done.initial[index]), 6),
            "loss_final": round(float(done.final[index]), 6),
            "limit": round(done.limit, 5),
            "in_world": done.in_world()[index],
            "layer": done.code.layer,
        }
        code = {"w": done.code.w[index], "pose": done.code.pose[index]}
        code |= {} if done.code.offset is None else {"offset": done.code.offset[index]}
        write_rgba(out / f"{path.stem}.target.png", to_straight(targets.cutout[index : index + 1])[0].cpu())
        write_rgba(out / f"{path.stem}.inverted.png", made[index])
        save_file({name: value.cpu().contiguous() for name, value in code.items()}, out / f"{path.stem}.safetensors")
        rows[path] = row | figures
        replace_file(out / f"{path.stem}.json", json.dumps(rows[path], sort_keys=True) + "\n")
    return rows


def _there(out: Path, path: Path, row: Row) -> Row | None:
    try:
        found: Row = json.loads((out / f"{path.stem}.json").read_text())
    except (OSError, ValueError):
        return None
    return found if all(found.get(key) == value for key, value in row.items()) else None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadPicture(path, f"cannot be read ({error.strerror or error})") from None
