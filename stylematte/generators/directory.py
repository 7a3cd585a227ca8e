"""The generator `directory`: a folder of RGBA files (PNG, WebP, TIFF, EXR), each perhaps with a side-car JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stylematte.errors import BadPicture, DataError
from stylematte.generators.files import ENDINGS, read_file, sidecar
from stylematte.rgba_generator import RGBASample, Unusable

HINTS = ("premultiplied", "channels", "top")


class Directory:
    """folder: searched to the bottom, in the order of the names. licence: of files whose side-car names none."""

    name = "directory"

    def __init__(self, folder: str, licence: str = "unknown") -> None:
        self.folder, self.licence = Path(folder).expanduser(), licence
        self.files = found_files(self.folder, ENDINGS)

    @property
    def count(self) -> int | None:
        return len(self.files)

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        for position in range(seed, min(seed + n, len(self.files))):
            file = self.files[position]
            name = file.relative_to(self.folder).as_posix()
            try:
                read, said = read_file(file), sidecar(file)
            except BadPicture as error:
                yield Unusable(name, position, error.reason)
                continue
            hints = {key: said[key] for key in HINTS if key in said} | {"bits": read.bits}
            if read.bits == 32 and file.suffix.lower() == ".exr":
                hints["premultiplied"] = False  # divided when it was read
            yield RGBASample(
                read.rgba,
                name,
                int(said.get("seed", position)),
                str(said.get("prompt", "")),
                str(said.get("model", "")),
                hashlib.sha256(file.read_bytes()).hexdigest(),
                str(said.get("licence", said.get("license", self.licence))),
                str(said.get("group", "")),
                hints,
                _figures(said),
            )


def found_files(folder: Path, endings: Sequence[str]) -> list[Path]:
    """The files with these endings below a folder, in the order of their names. Raises DataError if there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected pictures in it")
    inside = (path for path in folder.rglob("*") if path.suffix.lower() in endings)
    files = sorted(path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not files:
        raise DataError(f"{folder}: holds no file ending in {', '.join(endings)}")
    return files


def _figures(said: dict[str, Any]) -> dict[str, Any]:
    """What else a side-car says that is a number or a word: it goes on into the record."""
    known = {"seed", "prompt", "model", "licence", "license", "group", *HINTS}
    return {key: value for key, value in said.items() if key not in known and isinstance(value, (str, int, float))}
