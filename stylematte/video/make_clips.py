"""Writes made clips as folders of frames, with a manifest of their motion and a card; typed again, it resumes.

OUT/README.md                          what they are, and how they were made
OUT/clips.jsonl                        a row for each clip: cut-outs, backgrounds, motion of its shots
OUT/settings.json                      what all clips share; another setting needs another folder
OUT/portrait-0000/image/000000.png     the frames
OUT/portrait-0000/alpha/000000.png     their alphas: the truth
OUT/portrait-0000/image.mp4 alpha.mkv  on wish
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylematte.atomic import replace_file
from stylematte.errors import DataError
from stylematte.imagefile import write_alpha, write_rgb
from stylematte.video.clip_videos import write_videos
from stylematte.video.clips import Clip, ClipOptions
from stylematte.video.cutouts import Cutout, backdrops_of, cutouts_of
from stylematte.video.source import pyav

SETTINGS, MANIFEST, CARD = "settings.json", "clips.jsonl", "README.md"


class Sources(NamedTuple):
    """words: subjects to draw, or folders of cut-outs. count: clips of each word; 0: one of each cut-out, 8 drawn ones.
    backgrounds: a folder, or None for drawn ones. kinds: of a data root's rows. subjects: that are wanted; (): all."""

    words: Sequence[str]
    count: int = 0
    backgrounds: str | None = None
    kinds: Sequence[str] = ("alpha",)
    subjects: Sequence[str] = ()


class Made(NamedTuple):
    """Names of the clips, the number of frames written, and of those that were there."""

    clips: list[str]
    written: int
    existing: int


DRAWN = 8


def planned(sources: Sources, options: ClipOptions) -> list[Clip]:
    """The clips that will be made. Raises ConfigError, DataError."""
    options.check()
    backdrops = backdrops_of(sources.backgrounds)
    clips: list[Clip] = []
    for word in sources.words:
        cutouts = cutouts_of(word, sources.count or DRAWN, options.seed, sources.kinds)
        for subject in _wanted(word, cutouts, sources.subjects):
            own = [cutout for cutout in cutouts if cutout.subject == subject]
            clips += [_clip(number, own, backdrops, options) for number in range(sources.count or len(own))]
    names = [clip.name for clip in clips]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise DataError(f"two clips would be called {twice}; make them in two folders")
    return clips


def _wanted(word: str, cutouts: Sequence[Cutout], subjects: Sequence[str]) -> list[str]:
    there = list(dict.fromkeys(cutout.subject for cutout in cutouts))
    found = [subject for subject in there if not subjects or subject in subjects]
    if not found:
        raise DataError(f"{word}: no cut-out of {' or '.join(subjects)}; it has {', '.join(there)}")
    return found


def make_clips(
    sources: Sources,
    out: Path,
    options: ClipOptions,
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    videos: bool = False,
) -> Made:
    """Write the clips into `out`; frames that are there are kept. Raises ConfigError, DataError.

    track: hands the frames to be made through, for a progress bar. videos: also as files, which PyAV writes.
    """
    if videos:
        pyav()
    clips = planned(sources, options)
    _claim(out, sources, options)
    tasks = [(clip, index) for clip in clips for index in range(options.frames)]
    missing = [task for task in tasks if not all(file.is_file() for file in frame_files(out / task[0].name, task[1]))]
    for clip, index in track(missing):
        image, alpha = clip.frame(index)
        image_file, alpha_file = frame_files(out / clip.name, index)
        write_rgb(image_file, _channels_first(image))
        write_alpha(alpha_file, torch.from_numpy(alpha)[None])
    for clip in clips if videos else ():
        write_videos(out / clip.name, options.size, options.fps)
    rows = [clip.as_json() for clip in clips]
    replace_file(out / MANIFEST, "".join(json.dumps(row) + "\n" for row in rows))
    replace_file(out / CARD, card(rows, options))
    return Made([clip.name for clip in clips], len(missing), len(tasks) - len(missing))


def frame_files(folder: Path, index: int) -> tuple[Path, Path]:
    """The files of a frame: image, alpha."""
    return folder / "image" / f"{index:06d}.png", folder / "alpha" / f"{index:06d}.png"


def card(rows: Sequence[dict[str, Any]], options: ClipOptions) -> str:
    """README.md of a folder of clips."""
    height, width = options.size
    lines = [
        "# Clips with exact alpha",
        "",
        f"{len(rows)} clips of {options.frames} frames, {width} x {height} at {options.fps:g} frames/s, made by",
        "`stylematte make-clips`: cut-outs that move, turn, grow and sway over moving backgrounds. Not filmed.",
        "`image/` and `alpha/` of each clip hold its frames; alpha is exact for what the frames show. `clips.jsonl`",
        "has the sources, whose licences hold for what is made of them, and the motion of every shot.",
        "",
        f"Movement x {options.motion:g}, light x {options.light:g}, shutter open for {options.shutter:g} of a frame",
        f"({options.subframes} sub-frames), noise {options.noise:g}, {options.cuts} cuts, seed {options.seed}.",
        "",
        "| clip | cut-out | background | shift | turn | sway |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        for shot in row["shots"]:
            motion = shot["motion"]
            figures = f"{motion['x'][0]:.3f} heights | {motion['angle'][0]:.3f} rad | {motion['sway'][0]:.3f} heights"
            lines.append(f"| {row['clip']} | {shot['cutout']} | {shot['background']} | {figures} |")
    return "\n".join([*lines, ""])


def _clip(number: int, cutouts: list[Cutout], backdrops: Any, options: ClipOptions) -> Clip:
    return Clip(number, cutouts, backdrops, options, f"{cutouts[0].subject}-{number:04d}")


def _claim(out: Path, sources: Sources, options: ClipOptions) -> None:
    """Write what makes the clips, or raise DataError if the folder holds others."""
    settings = json.loads(json.dumps(sources._asdict() | asdict(options)))
    file = out / SETTINGS
    if file.is_file():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise DataError(f"{file}: cannot be read as JSON; make the clips in another folder") from None
        differing = [key for key in settings if not isinstance(there, dict) or there.get(key) != settings[key]]
        if differing:
            raise DataError(
                f"{out}: holds clips made with other settings ({', '.join(differing)}); name another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: not an empty folder; name a new one, nothing is overwritten")
    replace_file(file, json.dumps(settings, indent=1) + "\n")


def _channels_first(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
