"""Clips of mattes measured against their truth: folders of frames or videos, one or many, matched by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stylematte.errors import DataError
from stylematte.evaluate.table import mean_interval
from stylematte.imagefile import read_alpha
from stylematte.inference.photos import pictures_in
from stylematte.video.alpha_frames import VIDEO_ENDINGS, alphas_of
from stylematte.video.metrics import CLIP_FIGURES, ClipMetrics

ALPHA = "alpha"
"""The folder of a made clip that holds its mattes."""
OTHER = ("_cutout", "_composite")
"""How `stylematte matte` names what is no matte."""


class Frames(NamedTuple):
    """The mattes of one clip: their number (None: of a video, known at its end), and each (H, W) in its turn."""

    path: Path
    count: int | None
    read: Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class ClipScores:
    """n clips; mean and interval (95 %; None for one clip) over them by figure, figures by clip; NaN: not measured."""

    n: int
    mean: dict[str, float]
    interval: dict[str, tuple[float, float] | None]
    clips: dict[str, dict[str, float]]

    @classmethod
    def of(cls, clips: dict[str, dict[str, float]]) -> ClipScores:
        columns = {figure: _finite(row[figure] for row in clips.values()) for figure in CLIP_FIGURES}
        return cls(
            n=len(clips),
            mean={figure: sum(values) / len(values) if values else math.nan for figure, values in columns.items()},
            interval={figure: mean_interval(values) if values else None for figure, values in columns.items()},
            clips=clips,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; what was not measured is null."""
        clips = {name: _nulls(row) for name, row in self.clips.items()}
        return {"n": self.n, "mean": _nulls(self.mean), "interval": self.interval, "clips": clips}


def score_clips(pred: Path, truth: Path, track: Callable[[Iterable[str]], Iterable[str]] = iter) -> ClipScores:
    """MAD, MSE, Grad, Conn, dtSSD of each clip and their means.

    Both are one clip (a folder of frames, a made clip with alpha/ in it, or a video: its alpha channel, else its grey),
    or folders of such clips, which belong together by name. Frames belong together by their order. Raises DataError
    where a clip or a frame has no counterpart, or sizes differ. track: hands the names of the clips through.
    """
    pairs = matched(pred, truth)
    for ours, theirs in pairs.values():
        if None not in (ours.count, theirs.count):
            _demand_equal(ours, theirs, ours.count, theirs.count)
    return ClipScores.of({name: _scored(*pairs[name]) for name in track(list(pairs))})


def matched(pred: Path, truth: Path) -> dict[str, tuple[Frames, Frames]]:
    """Name -> prediction and truth of each clip. Raises DataError."""
    one, other = frames_of(pred), frames_of(truth)
    if one is not None and other is not None:
        return {pred.stem if pred.is_file() else pred.name: (one, other)}
    if one is not None or other is not None:
        single, many = (pred, truth) if one is not None else (truth, pred)
        raise DataError(f"{single} is one clip, {many} a folder of clips; give two clips or two folders of clips")
    ours, theirs = _clips_in(pred), _clips_in(truth)
    odd = sorted(ours.keys() ^ theirs.keys())
    if odd:
        lacking = truth if odd[0] in ours else pred
        raise DataError(f"{lacking} lacks the clip {odd[0]} ({len(odd)} clips are in one folder only)")
    return {name: (ours[name], theirs[name]) for name in ours}


def frames_of(path: Path) -> Frames | None:
    """The mattes of a video, a folder of frames or of its alpha/; None for a folder without. Raises DataError."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix.lower() not in VIDEO_ENDINGS:
            raise DataError(f"{path}: expected a folder of frames, or a video ({', '.join(sorted(VIDEO_ENDINGS))})")
        return Frames(path, None, lambda: alphas_of(path))
    for folder in (path / ALPHA, path):
        if folder.is_dir():
            files = [file for file in pictures_in(folder) if not file.stem.endswith(OTHER)]
            if files:
                files.sort(key=_in_order)
                return Frames(folder, len(files), lambda files=files: (read_alpha(file)[0].numpy() for file in files))
    return None


def _clips_in(folder: Path) -> dict[str, Frames]:
    clips: dict[str, Frames] = {}
    for path in sorted(folder.iterdir()):
        video = path.suffix.lower() in VIDEO_ENDINGS and path.is_file()
        frames = frames_of(path) if video or (path.is_dir() and not path.name.startswith(".")) else None
        if frames is None:
            continue
        name = path.stem if video else path.name
        if name in clips:
            raise DataError(f"{folder}: two clips are called {name}; keep one")
        clips[name] = frames
    if not clips:
        raise DataError(f"{folder}: holds neither frames, folders of frames nor videos")
    return clips


def _scored(pred: Frames, truth: Frames) -> dict[str, float]:
    metrics = ClipMetrics()
    preds, truths = pred.read(), truth.read()
    for index, (ours, theirs) in enumerate(zip_longest(preds, truths)):
        if ours is None or theirs is None:
            counts = [
                index + (each is not None) + sum(1 for _ in rest) for each, rest in ((ours, preds), (theirs, truths))
            ]
            _demand_equal(pred, truth, *counts)
        if ours.shape != theirs.shape:
            raise DataError(
                f"{pred.path}, frame {index}: {ours.shape[1]} x {ours.shape[0]} pixels, its truth {theirs.shape[1]} x "
                f"{theirs.shape[0]}; resize the prediction to the truth's size, never the truth"
            )
        try:
            metrics.update(ours, theirs)
        except ValueError as error:
            raise DataError(f"{pred.path}, frame {index}: {error}") from None
    return metrics.compute()


def _demand_equal(pred: Frames, truth: Frames, ours: int | None, theirs: int | None) -> None:
    if ours != theirs:
        frames = f"{ours} frame" + "s" * (ours != 1)
        raise DataError(
            f"{pred.path}: {frames}, its truth {truth.path} has {theirs}; give both the same part of the clip"
        )


def _in_order(file: Path) -> list[tuple[int, str]]:
    """Frame 10 after frame 9, padded with zeros or not."""
    parts = re.split(r"(\d+)", file.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _nulls(row: dict[str, float]) -> dict[str, float | None]:
    return {figure: value if math.isfinite(value) else None for figure, value in row.items()}
