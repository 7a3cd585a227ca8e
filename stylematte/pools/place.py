"""Where a pool lies: a folder on this disk, or any URL that fsspec knows (s3://, gs://, memory://, ...).

On a disk a file appears by a rename. Stores of objects show an object when it is whole; there the same holds without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from stylematte.atomic import replace_file
from stylematte.errors import DataError


class Place(Protocol):
    """Files of one folder, by name."""

    where: str

    def names(self) -> list[str]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes: ...
    def lines(self, name: str) -> Iterator[str]: ...
    def chunks(self, name: str, block: int = 1 << 20) -> Iterator[bytes]: ...
    def take(self, name: str, file: Path) -> None:
        """Make `file`, which is given away, the file of that name, whole or not at all."""

    def write(self, name: str, data: bytes) -> None: ...
    def workshop(self) -> Path:
        """A folder for what is not yet whole."""
        ...


def place(where: str | os.PathLike[str]) -> Place:
    """Raises DataError for a URL of a kind that is not installed."""
    text = str(where)
    if "://" not in text:
        return LocalPlace(Path(text).expanduser())
    return UrlPlace(text)


class LocalPlace:
    def __init__(self, folder: Path) -> None:
        self.folder, self.where = folder, str(folder)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []

    def size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        with (self.folder / name).open("rb") as file:
            file.seek(start)
            return file.read() if size is None else file.read(size)

    def lines(self, name: str) -> Iterator[str]:
        with (self.folder / name).open(encoding="utf-8") as lines:
            yield from lines

    def chunks(self, name: str, block: int = 1 << 20) -> Iterator[bytes]:
        with (self.folder / name).open("rb") as file:
            while chunk := file.read(block):
                yield chunk

    def take(self, name: str, file: Path) -> None:
        with file.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(file, self.folder / name)

    def write(self, name: str, data: bytes) -> None:
        replace_file(self.folder / name, data)

    def workshop(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder


class UrlPlace:
    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self.files: Any
            self.files, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise DataError(f"{url}: {error}") from None
        self.where = url

    def names(self) -> list[str]:
        try:
            found = self.files.ls(self.root, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def size(self, name: str) -> int:
        return int(self.files.size(self._path(name)))

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        end = None if size is None else start + size
        return bytes(self.files.cat_file(self._path(name), start=start, end=end))

    def lines(self, name: str) -> Iterator[str]:
        with self.files.open(self._path(name), "rt", encoding="utf-8") as lines:
            yield from lines

    def chunks(self, name: str, block: int = 1 << 20) -> Iterator[bytes]:
        with self.files.open(self._path(name), "rb") as file:
            while chunk := file.read(block):
                yield chunk

    def take(self, name: str, file: Path) -> None:
        self.files.makedirs(self.root, exist_ok=True)
        self.files.put_file(str(file), self._path(name))
        file.unlink()

    def write(self, name: str, data: bytes) -> None:
        self.files.makedirs(self.root, exist_ok=True)
        self.files.pipe_file(self._path(name), data)

    def workshop(self) -> Path:
        import tempfile

        return Path(tempfile.gettempdir())

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"
