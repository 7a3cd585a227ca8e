"""Inference and scoring of one picture of a data set, and the rows of figures that are kept between runs.

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
from torch import Tensor

from stylematte.data.released import Example
from stylematte.errors import BadPicture, ConfigError, WeightsError
from stylematte.imagefile import read_alpha, read_rgb
from stylematte.inference.matter import Matter, load
from stylematte.inference.options import InferenceOptions, check_piece, predict_in, read_trimap_of
from stylematte.metrics import PROTOCOL, score_pair
from stylematte.networks.weights import matter_files
from stylematte.trimap import from_alpha

CLEAR = 0.002
"""How near 0 or 1 a truth is that counts as known: nearer than any other byte."""


class Question(NamedTuple):
    """What is asked about every picture. options: how a network sees it. trimap: what it is shown besides.

    trimap is None: nothing; "data": the data set's own trimap; a number: one made of the truth, unknown within so many
    pixels of what is neither 0 nor 1. Known pixels are set in the alpha then.
    """

    matter: Path
    options: InferenceOptions
    trimap: str | float | None = None


class Matted(NamedTuple):
    """One example and the answer to it: image (3, H, W), the others (1, H, W); trimap: the one to measure in."""

    image: Tensor
    truth: Tensor
    trimap: Tensor | None
    alpha: Tensor


class Measured(NamedTuple):
    """scores is None where the picture could not be measured; then problem says why, in one line."""

    id: str
    scores: dict[str, float] | None
    problem: str = ""


_loaded: tuple[Question, str, Matter] | None = None


def prepare(question: Question, device: str) -> None:
    """Load this process's matter, once. Raises ConfigError, WeightsError."""
    global _loaded
    if _loaded is None or _loaded[:2] != (question, device):
        _loaded = question, device, load(question.matter, named_device(device))


def named_device(name: str) -> torch.device:
    """cpu, cuda, cuda:1, or auto: a GPU if there is one. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"--device {name}: this machine has no such device; expected auto, cpu or cuda") from None
    return device


def start(question: Question, device: str, threads: int) -> None:
    """Make this process ready for `measure`. threads 0: leave PyTorch as it is."""
    if threads:
        torch.set_num_threads(threads)
    prepare(question, device)


def measure(example: Example) -> Measured:
    """All figures of one example, as the protocol has them: native size, float predictions."""
    try:
        _, truth, trimap, alpha = matted(example)
        known = None if trimap is None else trimap[0].numpy()
        return Measured(example.id, score_pair(alpha[0].numpy(), truth[0].numpy(), known))
    except BadPicture as error:
        return Measured(example.id, None, str(error))
    except ValueError as error:
        return Measured(example.id, None, f"{example.image}: {error}")


def matted(example: Example) -> Matted:
    """The example with the loaded matter's alpha. Raises BadPicture."""
    assert _loaded is not None
    assert example.alpha is not None
    (_, options, source), _, matter = _loaded
    image, truth = read_rgb(example.image), read_alpha(example.alpha)
    if image.shape[1:] != truth.shape[1:]:
        sizes = [f"{picture.shape[2]} x {picture.shape[1]}" for picture in (truth, image)]
        raise BadPicture(example.alpha, f"is {sizes[0]}, its picture {sizes[1]}")
    check_piece(example.image, image, options)
    trimap = None if example.trimap is None else read_trimap_of(example.trimap, example.image, image)
    shown = from_alpha(truth, radius=source, low=CLEAR, high=1 - CLEAR) if isinstance(source, float) else trimap
    (alpha,) = predict_in(matter.network, [image], options, None if source is None or shown is None else [shown])
    return Matted(image, truth, shown if trimap is None else trimap, alpha)


def matter_digest(folder: Path) -> str:
    """SHA-256 (hex) of the weights and their description."""
    total = hashlib.sha256()
    for file in matter_files(folder):
        if not file.is_file():
            raise WeightsError(
                f"{file}: no such file; expected both of {', '.join(f.name for f in matter_files(folder))}"
            )
        total.update(file.name.encode() + b"\0" + _digest(file).encode())
    return total.hexdigest()


def row_key(matter: str, question: Question, example: Example) -> str:
    """What a kept row is valid for. matter: `matter_digest` of the question's."""
    files = [_digest(path) if path else None for path in (example.image, example.alpha, example.trimap)]
    read = json.dumps([matter, question.options, question.trimap, PROTOCOL, files])
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
