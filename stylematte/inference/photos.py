"""Which pictures are meant: files, the pictures of folders, globs, lists of names."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stylematte.errors import DataError

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
"""Endings of files that are taken for pictures."""


class LeftOut(NamedTuple):
    """A picture that could not be used, and why, in one line."""

    path: Path
    reason: str


def pictures_in(folder: Path) -> list[Path]:
    """The files of a folder that are pictures by their ending, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)


def photos_in(path: Path) -> list[Path]:
    """The picture itself, or the pictures of a folder by name. Raises DataError if there is none, or if two differ in
    their ending only: their results would overwrite each other."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return [path]
    photos = pictures_in(path)
    twice = _twice(photos)
    if twice:
        raise DataError(f"{path}: two pictures are called {twice}; their results would overwrite each other")
    if not photos:
        raise DataError(f"{path}: holds no pictures ({', '.join(sorted(PICTURES))})")
    return photos


def photos_of(words: Sequence[str], listed: Iterable[str] = ()) -> list[Path]:
    """The pictures that files, folders, globs and - (those `listed`, a name in each line) name. Raises DataError."""
    photos: list[Path] = []
    for word in words:
        if word == "-":
            photos += [photo for line in listed if line.strip() for photo in photos_in(Path(line.strip()))]
        elif not Path(word).exists() and glob.has_magic(word):
            found = sorted(Path(name) for name in glob.glob(word, recursive=True))
            photos += [name for name in found if name.suffix.lower() in PICTURES]
        else:
            photos += photos_in(Path(word))
    photos = list(dict.fromkeys(photos))
    if not photos:
        raise DataError(f"{' '.join(words)}: names no pictures ({', '.join(sorted(PICTURES))})")
    twice = _twice(photos)
    if twice:
        raise DataError(f"two pictures are called {twice}; their results would overwrite each other")
    return photos


def _twice(photos: Sequence[Path]) -> str | None:
    """A name, without its ending, that several have."""
    return next((name for name, count in Counter(photo.stem for photo in photos).items() if count > 1), None)
