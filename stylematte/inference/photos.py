"""Which pictures are meant: files, the pictures of folders, globs, lists of names; and their results' names."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stylematte.errors import ConfigError, DataError
from stylematte.imagecode import endings
from stylematte.picture_endings import PICTURE_ENDINGS


class LeftOut(NamedTuple):
    """A picture that could not be used, and why, in one line."""

    path: Path
    reason: str


class NamedPhoto(NamedTuple):
    """A picture, and what its results are called: its name without the ending, below the folder that was walked."""

    path: Path
    name: str


def pictures_in(folder: Path) -> list[Path]:
    """The files of a folder that are pictures by their ending, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)


def photos_in(path: Path) -> list[Path]:
    """The picture itself, or the pictures of a folder by name. Raises DataError if there is none, or if two differ in
    their ending only: their results would overwrite each other."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return [path]
    photos = pictures_in(path)
    twice = _twice([photo.stem for photo in photos])
    if twice:
        raise DataError(f"{path}: two pictures are called {twice}; their results would overwrite each other")
    if not photos:
        raise DataError(f"{path}: holds no pictures ({', '.join(sorted(PICTURE_ENDINGS))})")
    return photos


def photos_of(words: Sequence[str], listed: Iterable[str] = (), out: Path | None = None) -> list[NamedPhoto]:
    """The pictures that files, folders, globs and - (those `listed`, a name in each line) name.

    Folders are walked with all below them, hidden ones left out, and `out`, the folder of results, where it lies
    within. Raises DataError if there are none or two results would have one name, ConfigError if `out` is a folder of
    photos itself.
    """
    photos: list[NamedPhoto] = []
    for word in words:
        if word == "-":
            named = [line.strip() for line in listed if line.strip()]
        elif not Path(word).exists() and glob.has_magic(word):
            matches = (Path(name) for name in sorted(glob.glob(word, recursive=True)))
            named = [str(path) for path in matches if path.is_file() and path.suffix.lower() in endings()]
            named = [name for name in named if not _within(Path(name), out)]
        else:
            named = [word]
        photos += [photo for name in named for photo in _walked(Path(name), out)]
    photos = list(dict.fromkeys(photos))
    if not photos:
        raise DataError(f"{' '.join(words)}: names no pictures ({', '.join(sorted(endings()))})")
    twice = _twice([photo.name for photo in photos])
    if twice:
        raise DataError(f"two pictures are called {twice}; their results would overwrite each other")
    return photos


def _walked(path: Path, out: Path | None) -> Iterator[NamedPhoto]:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        yield NamedPhoto(path, path.stem)
        return
    if out is not None and out.resolve() == path.resolve():
        raise ConfigError(f"-o {out}: is the folder of the photos; name another, mattes would be matted the next time")
    for parent, folders, files in os.walk(path):
        below = [Path(parent) / name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [folder.name for folder in below if not _within(folder, out)]
        for file in (Path(parent) / name for name in sorted(files)):
            if file.suffix.lower() in endings() and not file.name.startswith("."):
                yield NamedPhoto(file, file.relative_to(path).with_suffix("").as_posix())


def _within(path: Path, out: Path | None) -> bool:
    """Whether path is `out` or below it, and `out` not simply where one works."""
    if out is None or out.resolve() == Path.cwd().resolve():
        return False
    return path.resolve().is_relative_to(out.resolve())


def _twice(names: Sequence[str]) -> str | None:
    """A name that several have."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
