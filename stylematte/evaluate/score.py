"""Mattes measured against the truth: two pictures, two files or two folders of files that belong together by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from stylematte.errors import DataError
from stylematte.evaluate.table import Scores
from stylematte.imagefile import read_alpha, read_trimap
from stylematte.inference.photos import pictures_in
from stylematte.metrics import score_pair

log = logging.getLogger("stylematte")

ENDINGS = ("_alpha", "_matte", "_mask", "_trimap")


class Match(NamedTuple):
    """Files of one picture."""

    name: str
    pred: Path
    truth: Path
    trimap: Path | None


def score(
    pred: Any, truth: Any, trimap: Any = None, track: Callable[[Iterable[Match]], Iterable[Match]] = iter
) -> Scores:
    """SAD, MSE, MAD, Grad, Conn of mattes against the truth; with trimaps the unknown region, SAD-FG and SAD-BG too.

    All three are files, folders of files, or pictures: tensor or array (1, H, W) or (H, W) in [0, 1]. Files of folders
    belong together by name, as `stylematte matte` writes them (NAME_alpha.png) or simply NAME.png. Raises DataError.
    """
    if isinstance(pred, (str, os.PathLike)):
        paths = [None if path is None else Path(path) for path in (pred, truth, trimap)]
        assert paths[0] is not None
        assert paths[1] is not None
        return Scores.of({match.name: _of_files(match) for match in track(matches(paths[0], paths[1], paths[2]))})
    known = None if trimap is None else _plane(trimap)
    return Scores.of({"picture": _of_planes("the matte", _plane(pred), _plane(truth), "its trimap", known)})


def matches(pred: Path, truth: Path, trimap: Path | None = None) -> list[Match]:
    """Which files belong together; each prediction must find its truth (and trimap). Raises DataError."""
    given = [path for path in (pred, truth, trimap) if path]
    for path in given:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
    if all(path.is_file() for path in given):
        return [Match(pred.stem, pred, truth, trimap)]
    if any(path.is_file() for path in given):
        raise DataError("PRED, TRUTH and --trimap must all be files or all be folders")
    truths, predictions = _alphas(truth), _alphas(pred)
    trimaps = _alphas(trimap) if trimap else {}
    _demand(predictions, truths, "truth", pred, truth)
    if trimap:
        _demand(predictions, trimaps, "trimap", pred, trimap)
    unmatched = sorted(truths.keys() - predictions.keys())
    if unmatched:
        log.warning("%d truths have no prediction, for example %s", len(unmatched), unmatched[0])
    return [Match(name, file, truths[name], trimaps.get(name)) for name, file in predictions.items()]


def _of_files(match: Match) -> dict[str, float]:
    pred, truth = read_alpha(match.pred)[0].numpy(), read_alpha(match.truth)[0].numpy()
    trimap = None if match.trimap is None else read_trimap(match.trimap)[0].numpy()
    return _of_planes(str(match.pred), pred, truth, str(match.trimap), trimap)


def _of_planes(
    name: str, pred: np.ndarray, truth: np.ndarray, trimap_name: str, trimap: np.ndarray | None
) -> dict[str, float]:
    for what, array in ((name, pred), (trimap_name, trimap)):
        if array is not None and array.shape != truth.shape:
            raise DataError(
                f"{what}: {array.shape[1]} x {array.shape[0]} pixels, its truth {truth.shape[1]} x {truth.shape[0]}; "
                "resize the prediction to the truth's size (never the truth, never a trimap)"
            )
    try:
        return score_pair(pred, truth, trimap)
    except ValueError as error:
        raise DataError(f"{name if trimap is None else trimap_name}: {error}") from None


def _plane(picture: Any) -> np.ndarray:
    """(H, W) of a picture given as (1, H, W) or (H, W)."""
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    array = array[0] if array.ndim == 3 and array.shape[0] == 1 else array
    if array.ndim != 2:
        raise DataError(f"a picture of shape {array.shape}: expected an alpha (1, H, W) or (H, W)")
    return array


def _alphas(folder: Path) -> dict[str, Path]:
    """Photo name -> alpha file: as `stylematte matte` names them (NAME_alpha.png), or simply NAME.png."""
    named: dict[str, Path] = {}
    for file in pictures_in(folder):
        if file.stem.endswith("_cutout"):
            continue
        name = next((file.stem.removesuffix(end) for end in ENDINGS if file.stem.endswith(end)), file.stem)
        if name in named:
            raise DataError(f"{folder}: {named[name].name} and {file.name} are both of the picture {name}; keep one")
        named[name] = file
    return named


def _demand(predictions: dict[str, Path], others: dict[str, Path], what: str, pred: Path, folder: Path) -> None:
    missing = [file.name for name, file in predictions.items() if name not in others]
    if missing or not predictions:
        named = ", ".join(missing[:3]) or f"no pictures in {pred}"
        raise DataError(f"no {what} for {len(missing)} of {len(predictions)} predictions ({named}) in {folder}")
