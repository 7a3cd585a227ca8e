"""What the verbs that work through photos share: which pictures are meant, and the matter that looks at them."""

from __future__ import annotations

import glob
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from loop.cli.score import PICTURES
from loop.runfolder import accepted_matter, newest_run
from stylematte.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
FEW = 4


def photos_in(path: Path) -> list[Path]:
    """The picture itself, or the pictures of a folder by name. Raises DataError if there is none, or if two differ
    in their ending only: their results would overwrite each other."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return [path]
    photos = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
    stems = Counter(photo.stem for photo in photos)
    twice = [name for name, count in stems.items() if count > 1]
    if twice:
        raise DataError(f"{path}: two pictures are called {twice[0]}; their results would overwrite each other")
    if not photos:
        raise DataError(f"{path}: holds no pictures ({', '.join(sorted(PICTURES))})")
    return photos


def photos_of(words: Sequence[str]) -> list[Path]:
    """The pictures that files, folders, globs and - (a list on stdin, one a line) name. Raises DataError."""
    photos: list[Path] = []
    for word in words:
        if word == "-":
            photos += [photo for line in sys.stdin if line.strip() for photo in photos_in(Path(line.strip()))]
        elif not Path(word).exists() and glob.has_magic(word):
            found = sorted(Path(name) for name in glob.glob(word, recursive=True))
            photos += [name for name in found if name.suffix.lower() in PICTURES]
        else:
            photos += photos_in(Path(word))
    photos = list(dict.fromkeys(photos))
    if not photos:
        raise DataError(f"{' '.join(words)}: names no pictures ({', '.join(sorted(PICTURES))})")
    twice = [name for name, count in Counter(photo.stem for photo in photos).items() if count > 1]
    if twice:
        raise DataError(f"two pictures are called {twice[0]}; their results would overwrite each other")
    return photos


def matter_folder(given: Path | None) -> Path:
    """The folder with the matter of a run, an export or a matter folder; of the newest run if none is given."""
    return accepted_matter(given or newest_run())


def matter_at(folder: Path) -> tuple[nn.Module, int]:
    """The network in a folder of `matter_folder`, and the longest side it was trained at. Raises WeightsError, and
    DataError if a weight is NaN."""
    from stylematte.inference.predict import trained_at
    from stylematte.networks.weights import load_matter

    side = trained_at(folder)
    network = load_matter(folder)
    for name, tensor in network.state_dict().items():
        if not tensor.isfinite().all():
            raise DataError(f"{folder}: {name} holds NaN or infinity; take the weights of another round or step")
    return network, side


def shown(photos: Iterable[T], doing: str, total: int) -> Iterable[T]:
    """`photos` with a progress bar on a terminal, if there are more than a few."""
    from rich.console import Console
    from rich.progress import track

    quiet = total < FEW or not sys.stderr.isatty()
    return track(photos, doing, total=total, transient=True, disable=quiet, console=Console(stderr=True))


def to_longest_side(picture: Tensor, side: int) -> Tensor:
    """(C, H, W) scaled so that its longest side is `side` pixels."""
    from stylematte.imagefile import resize

    scale = side / max(picture.shape[-2:])
    return resize(picture, (max(1, round(picture.shape[-2] * scale)), max(1, round(picture.shape[-1] * scale))))


def thumbnail(picture: Tensor, side: int = 160) -> Tensor:
    """(C, H, W), shrunk if its longest side exceeds `side` pixels."""
    return to_longest_side(picture, min(side, max(picture.shape[-2:])))


def left_out_line(left_out: Sequence[object]) -> str:
    return f"; {len(left_out)} left out" if left_out else ""
