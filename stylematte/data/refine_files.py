"""A folder of alphas or RGBA cut-outs -> the same refined, a table of figures, and a sheet of what changed most."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylematte.atomic import replace_file
from stylematte.errors import BadPicture, ConfigError, DataError
from stylematte.imagefile import read_alpha, read_rgba, write_alpha, write_rgb, write_rgba
from stylematte.inference.photos import LeftOut, photos_in
from stylematte.refine.alpha import Refined, refine_alpha
from stylematte.refine.cutout import refine_cutout
from stylematte.refine.rules import RefineRules
from stylematte.refine.sheet import change, sheet_of, worst

log = logging.getLogger("stylematte")

SHEET, INDEX, SHEET_MOST = "sheet.png", "index.jsonl", 16


class RefinedFile(NamedTuple):
    """file: what was written, None of a refused one; figures and verdict as of `refine_alpha`."""

    picture: Path
    file: Path | None
    result: Refined

    def row(self) -> dict[str, Any]:
        verdict = self.result.verdict
        name = self.file.name if self.file else None
        about = {"picture": str(self.picture), "file": name, "rule": verdict.rule, "reason": verdict.reason}
        return {**about, **asdict(self.result.figures)}


class RefinedFolder(NamedTuple):
    done: list[RefinedFile]
    left_out: list[LeftOut]

    @property
    def written(self) -> int:
        return sum(each.file is not None for each in self.done)

    def refused(self) -> dict[str, int]:
        """How many by the rule they broke, written or not."""
        rules = [each.result.verdict.rule for each in self.done if each.result.verdict.rule]
        return {rule: rules.count(rule) for rule in sorted(set(rules))}


def refine_folder(
    pictures: Path,
    out: Path,
    *,
    rules: RefineRules | None = None,
    keep_refused: bool = False,
    track: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> RefinedFolder:
    """Write NAME.png for each accepted picture, index.jsonl of all and sheet.png into `out`.

    pictures: a picture or a folder, of alphas (grey) or RGBA cut-outs. keep_refused: write those too. What cannot be
    read is left out. Raises ConfigError, and DataError if nothing could be read.
    """
    files = photos_in(pictures)
    _check_out(out, files)
    done, left_out, changes = list[RefinedFile](), list[LeftOut](), []
    for file in track(files):
        try:
            given, refined, result = _refine(file, rules)
        except BadPicture as error:
            left_out.append(LeftOut(file, str(error)))
            log.warning("left out %s", error)
            continue
        target = out / f"{file.stem}.png" if result.verdict.accepted or keep_refused else None
        if target is not None:
            (write_rgba if len(refined) == 4 else write_alpha)(target, refined)
        done.append(RefinedFile(file, target, result))
        changes = worst([*changes, change(given[-1:], refined[-1:], result.figures.change)], SHEET_MOST)
    if not done:
        raise DataError(f"{pictures}: none of {len(files)} pictures could be read as an alpha or a cut-out")
    replace_file(out / INDEX, "".join(json.dumps(each.row(), sort_keys=True) + "\n" for each in done))
    sheet = sheet_of(changes)
    assert sheet is not None
    write_rgb(out / SHEET, sheet)
    return RefinedFolder(done, left_out)


def _refine(file: Path, rules: RefineRules | None) -> tuple[Tensor, Tensor, Refined]:
    """(as read, refined, what was found); of 4 channels if the file has an alpha that varies, else of 1."""
    rgba = read_rgba(file)
    if rgba[3].min() < rgba[3].max():
        refined, result = refine_cutout(rgba, rules)
        return rgba, refined, result
    alpha = read_alpha(file)
    result = refine_alpha(alpha[0].numpy(), rules)
    return alpha, torch.from_numpy(result.alpha)[None], result


def _check_out(out: Path, files: list[Path]) -> None:
    """Refuse to write over anything, or two pictures to one name, before any work."""
    names = [file.stem for file in files]
    twice = next((file for file in files if names.count(file.stem) > 1 or file.stem == Path(SHEET).stem), None)
    if twice is not None:
        raise ConfigError(f"{twice}: {twice.stem}.png would overwrite another file; rename the picture")
    if out.resolve() in {file.resolve().parent for file in files}:
        raise ConfigError(f"{out} is the folder of the pictures: choose another for -o")
