"""Inference and scoring of one picture in a worker process, and the rows that are kept between runs.

A kept row belongs to (weights, protocol, size, bytes of the picture's files): its key. Another matter, another
protocol or an edited picture has another key, so a row is never taken for what it is not.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stylematte.data.released import Example
from stylematte.imagefile import BadPicture, read_alpha, read_rgb, read_trimap
from stylematte.metrics import PROTOCOL, score_pair
from stylematte.predict import predict, predict_at


class Matter(NamedTuple):
    """A loaded network; side: the longest side it sees, 0 for the picture's own."""

    network: nn.Module
    side: int

    def alpha(self, image: Tensor) -> Tensor:
        """image (3, H, W) -> alpha (1, H, W), float."""
        return predict_at(self.network, image, self.side) if self.side else predict(self.network, image)


class Measured(NamedTuple):
    """scores is None where the picture could not be measured; then problem says why, in one line."""

    id: str
    scores: dict[str, float] | None
    problem: str = ""


class NoSuchDevice(ValueError):
    exit_code = 2


_loaded: tuple[tuple[Path, int | None, str], Matter] | None = None


def matter(folder: Path, side: int | None, device: str) -> Matter:
    """This process's network, loaded once. side None: the longest side it was trained at."""
    global _loaded
    from loop.commands.photos import matter_at

    asked = (folder, side, device)
    if _loaded is None or _loaded[0] != asked:
        network, trained_at = matter_at(folder)
        _loaded = asked, Matter(network.to(_device(device)), trained_at if side is None else side)
    return _loaded[1]


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise NoSuchDevice(f"--device {name}: this machine has no such device; expected auto, cpu or cuda") from None
    return device


def start(folder: Path, side: int | None, device: str, threads: int) -> None:
    """Make this process ready for `measure`. threads 0: leave PyTorch as it is."""
    if threads:
        torch.set_num_threads(threads)
    matter(folder, side, device)


def measure(example: Example) -> Measured:
    """All figures of one example, as the protocol has them: native size, float predictions."""
    assert _loaded is not None
    assert example.alpha is not None
    try:
        image, truth = read_rgb(example.image), read_alpha(example.alpha)
        trimap = None if example.trimap is None else read_trimap(example.trimap)[0].numpy()
        if image.shape[1:] != truth.shape[1:]:
            sizes = [f"{picture.shape[2]} x {picture.shape[1]}" for picture in (truth, image)]
            return Measured(example.id, None, f"{example.alpha}: is {sizes[0]}, its picture {sizes[1]}")
        alpha = _loaded[1].alpha(image)
        return Measured(example.id, score_pair(alpha[0].numpy(), truth[0].numpy(), trimap))
    except BadPicture as error:
        return Measured(example.id, None, str(error))
    except ValueError as error:
        return Measured(example.id, None, f"{example.image}: {error}")


def matter_digest(folder: Path) -> str:
    """SHA-256 (hex) of the weights and their description."""
    total = hashlib.sha256()
    for file in sorted(folder.glob("matter.*")):
        total.update(file.name.encode() + b"\0" + _digest(file).encode())
    return total.hexdigest()


def row_key(matter: str, side: int | None, example: Example) -> str:
    """What a kept row is valid for."""
    files = [_digest(path) if path else None for path in (example.image, example.alpha, example.trimap)]
    read = json.dumps([matter, side, PROTOCOL, files])
    return hashlib.sha256(read.encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class KeptRows:
    """An append-only file of finished rows. A line that was cut short by a kill is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, float]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for line in text.splitlines():
            try:
                row: dict[str, Any] = json.loads(line)
                self.rows[row["key"]] = {name: float(value) for name, value in row["scores"].items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        self._lead = "" if text.endswith("\n") or not text else "\n"

    def add(self, key: str, id_: str, scores: dict[str, float]) -> None:
        self.rows[key] = scores
        line = self._lead + json.dumps({"key": key, "id": id_, "scores": scores}) + "\n"
        self._lead = ""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
