"""Reading data sets as StyleGAN's tools keep them: a folder or ZIP of square pictures, dataset.json with labels.

{"labels": [["00000/img00000000.png", 6], ...]}: whole numbers are classes (one-hot as read), lists of floats are
taken as they are. Pictures are ordered by name. What makes a data set unusable is found before any pixel is decoded.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from stylematte.errors import BadPicture, DataError
from stylematte.imagecode import Header, header
from stylematte.imagefile import from_bytes

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
LABELS = "dataset.json"
MOST_BYTES = 2**28
"""Of one file: a ZIP can promise less than it unpacks to."""
MOST_RATIO, SMALL = 100, 2**24
"""A member above SMALL bytes that a ZIP made smaller by more than this is no picture: pictures are compressed."""
BEGINNING = 4096


class Files:
    """The files of a folder (searched to the bottom) or of a ZIP by name: `names`, in order, and `read(name)`."""

    def __init__(self, source: Path | str) -> None:
        self.source = Path(source)
        self.archive: zipfile.ZipFile | None = None
        if self.source.is_dir():
            paths = (path for path in self.source.rglob("*") if path.is_file())
            found = [path.relative_to(self.source).as_posix() for path in paths]
        elif self.source.is_file():
            self.archive = self._opened()
            found = [entry.filename for entry in self.archive.infolist() if not entry.is_dir()]
        else:
            raise DataError(f"{self.source}: no such folder or ZIP file")
        self.names = sorted(found)
        self.pictures = [name for name in self.names if Path(name).suffix.lower() in ENDINGS]
        if not self.pictures:
            raise DataError(f"{self.source}: holds no pictures ({', '.join(ENDINGS)})")

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.source)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            reason = f"not a ZIP file, or cut short ({error}); expected a folder or ZIP"
            raise DataError(f"{self.source}: {reason}") from None

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """The bytes of a file, the first `most` of them. Raises BadPicture if they cannot be read."""
        where = f"{self.source}/{name}"
        try:
            if self.archive is None:
                with (self.source / name).open("rb") as file:
                    return file.read(most)
            entry = self.archive.getinfo(name)
            bomb = entry.file_size > SMALL and entry.file_size > MOST_RATIO * entry.compress_size
            if bomb or entry.file_size > MOST_BYTES:
                raise BadPicture(
                    where, f"unpacks from {entry.compress_size} to {entry.file_size} bytes: no picture does"
                )
            with self.archive.open(name) as member:
                return member.read(most)
        except BadPicture:
            raise
        except Exception as error:  # zipfile raises BadZipFile, EOFError, zlib.error, NotImplementedError …
            reason = f"cannot be read, the data set is damaged ({error or type(error).__name__})"
            raise BadPicture(where, reason) from None

    def header(self, name: str) -> Header:
        """Size and channels of a picture; of most files the beginning says it. Raises BadPicture."""
        where = f"{self.source}/{name}"
        try:
            return header(where, self.read(name, BEGINNING))
        except BadPicture:
            return header(where, self.read(name))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "archive": None if self.archive is None else self.source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A loading process opens the ZIP for itself: an open file cannot be shared."""
        self.__dict__.update(state)
        if self.archive is not None:
            self.archive = self._opened()


class Item(NamedTuple):
    """One item of a data set: which picture, and whether it is mirrored."""

    raw_index: int
    mirrored: bool


class LabelledPictures:
    """Pictures (C, R, R) in [0, 1] and labels (label_dim,) of a data set; every one twice, the second time mirrored,
    if `mirror`.

    max_size: at most so many pictures (before mirroring), chosen by `seed` as the official tools choose. Raises
    DataError for sizes that differ, are not square or no power of two, labels that do not fit, and fewer than two
    pictures; BadPicture names a damaged one.
    """

    def __init__(
        self,
        source: Path | str,
        use_labels: bool = False,
        max_size: int | None = None,
        mirror: bool = False,
        seed: int = 0,
        resolution: int | None = None,
    ) -> None:
        self.files = Files(source)
        self.name = self.files.source.stem
        self.image_shape = self._checked(resolution)
        self.labels = self._labels() if use_labels else np.zeros((len(self.files.pictures), 0), np.float32)
        indices = np.arange(len(self.files.pictures))
        if max_size is not None and max_size < len(indices):
            np.random.RandomState(seed % 2**31).shuffle(indices)
            indices = np.sort(indices[:max_size])
        once = [Item(int(index), False) for index in indices]
        self.items = once + [item._replace(mirrored=True) for item in once] if mirror else once

    def _checked(self, resolution: int | None) -> tuple[int, int, int]:
        """(C, R, R) of all pictures."""
        source, names = self.files.source, self.files.pictures
        if len(names) < 2:
            raise DataError(f"{source}: holds 1 picture, a generator needs at least 2 (and hundreds to learn from)")
        shapes = map(self.files.header, names)
        first = next(shapes)
        width, height, channels = first
        if width != height or width & (width - 1):
            cure = f"make it anew with `stylematte dataset {source} -o NEW.zip --resolution 256`"
            raise DataError(f"{source}/{names[0]}: {width} x {height}, expected a square with a power of two: {cure}")
        if resolution not in (None, width):
            raise DataError(f"{source}: pictures of {width} x {width}, expected {resolution} x {resolution}")
        for name, shape in zip(names[1:], shapes, strict=True):
            if shape != first:
                sizes = [f"{w} x {h} with {c} channels" for w, h, c in (first, shape)]
                raise DataError(f"{source}: {names[0]} is {sizes[0]}, {name} {sizes[1]}; all must be alike")
        return channels, height, width

    def _labels(self) -> np.ndarray:
        """(pictures,) int64 classes or (pictures, d) float32; (pictures, 0) if the data set has none."""
        none = np.zeros((len(self.files.pictures), 0), np.float32)
        if LABELS not in self.files.names:
            return none
        table = read_labels(self.files)
        if not table:
            return none
        missing = [name for name in self.files.pictures if name not in table]
        if missing:
            raise DataError(f"{self.files.source}/{LABELS}: no label for {missing[0]} ({len(missing)} lack one)")
        try:
            labels = np.array([table[name] for name in self.files.pictures])
            kind = {1: np.int64, 2: np.float32}[labels.ndim]
            return labels.astype(kind, casting="same_kind")
        except (ValueError, KeyError, TypeError):
            expected = "all whole numbers, or all lists of floats of one length"
            raise DataError(f"{self.files.source}/{LABELS}: labels of different kinds; expected {expected}") from None

    @property
    def label_shape(self) -> tuple[int, ...]:
        return (int(self.labels.max()) + 1,) if self.has_onehot_labels else self.labels.shape[1:]

    @property
    def label_dim(self) -> int:
        return self.label_shape[0]

    @property
    def has_labels(self) -> bool:
        return self.label_dim > 0

    @property
    def has_onehot_labels(self) -> bool:
        return self.labels.dtype == np.int64

    def __len__(self) -> int:
        return len(self.items)

    def label(self, index: int) -> np.ndarray:
        """(label_dim,) float32."""
        label = self.labels[self.items[index].raw_index]
        return np.eye(self.label_dim, dtype=np.float32)[label] if self.has_onehot_labels else label.copy()

    def picture(self, index: int) -> Tensor:
        """(C, R, R) in [0, 1], straight if it has alpha."""
        item = self.items[index]
        name = self.files.pictures[item.raw_index]
        picture = from_bytes(f"{self.files.source}/{name}", self.files.read(name))
        return picture.flip(2) if item.mirrored else picture

    def __iter__(self) -> Iterator[Tensor]:
        return (self.picture(index) for index in range(len(self)))


def read_labels(files: Files) -> dict[str, Any]:
    """Name of picture -> its label, of dataset.json; empty where the data set has none. Raises DataError."""
    if LABELS not in files.names:
        return {}
    where = f"{files.source}/{LABELS}"
    try:
        labels = json.loads(files.read(LABELS))["labels"]
        return {str(name).replace("\\", "/"): label for name, label in labels or []}
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{where}: expected {{"labels": [["00000/img00000000.png", 6], ...]}} or null') from None
