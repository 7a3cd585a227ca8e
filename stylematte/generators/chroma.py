"""The generator `chroma`: stills or video frames before a green or blue screen, keyed and despilled.

Frames are files; those of one folder below the root are one group (a clip), and stay in one split. `drawn` puts drawn
subjects before a screen with uneven light, spill and noise instead: their true alpha is known, so that the keyer and
what is learned from it can be measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stylematte.data.drawn.dataset import draw
from stylematte.errors import BadPicture, ConfigError
from stylematte.generators.directory import found_files
from stylematte.generators.files import PHOTOS
from stylematte.generators.keying import BLUE, GREEN, key
from stylematte.imagefile import read_rgb
from stylematte.rgba_generator import RGBASample, Unusable
from stylematte.sampling import position_seed

SCREENS = {"auto": None, "green": GREEN, "blue": BLUE}


class Chroma:
    """folder: of pictures, searched to the bottom; or drawn: "portrait" or "animal", `size` pixels a side.

    screen: green, blue, or auto (by the border of each picture). Raises ConfigError.
    """

    name = "chroma"

    def __init__(
        self,
        folder: str | None = None,
        licence: str = "unknown",
        screen: str = "auto",
        drawn: str | None = None,
        size: int = 128,
    ) -> None:
        if (folder is None) == (drawn is None):
            raise ConfigError("generator chroma: give folder=..., or drawn=portrait or animal, and not both")
        if screen not in SCREENS:
            raise ConfigError(f"generator chroma: screen={screen}, expected auto, green or blue")
        self.folder = Path(folder).expanduser() if folder else None
        self.drawn, self.size, self.licence = drawn, size, "CC0-1.0" if drawn else licence
        self.screen = SCREENS[screen]
        self.files = found_files(self.folder, PHOTOS) if self.folder else []

    @property
    def count(self) -> int | None:
        return None if self.drawn else len(self.files)

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        last = seed + n if self.count is None else min(seed + n, self.count)
        for position in range(seed, last):
            try:
                yield self._one(position)
            except BadPicture as error:
                yield Unusable(self._name(position), position, error.reason)
            except ValueError as error:
                yield Unusable(self._name(position), position, str(error))

    def _one(self, position: int) -> RGBASample:
        if self.folder is None:
            image, _ = on_a_screen(str(self.drawn), position, self.size)
            group, digest, model = "", "", f"drawn {self.drawn} before a screen"
        else:
            file = self.files[position]
            image, model = read_rgb(file), "chroma key"
            group = file.parent.relative_to(self.folder).as_posix() if file.parent != self.folder else ""
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        keyed = key(image.permute(1, 2, 0).numpy(), self.screen)
        rgba = torch.from_numpy(np.ascontiguousarray(keyed.rgba.transpose(2, 0, 1)))
        figures = {"screen": "green" if keyed.screen == GREEN else "blue", "even": round(keyed.even, 4)}
        name, licence = self._name(position), self.licence
        return RGBASample(rgba, name, position, "", model, digest, licence, group, {"premultiplied": False}, figures)

    def _name(self, position: int) -> str:
        return self.files[position].relative_to(self.folder).as_posix() if self.folder else f"{position:07d}"


def on_a_screen(subject: str, seed: int, size: int) -> tuple[Tensor, Tensor]:
    """(image, alpha), (3, size, size) and (1, size, size): a drawn subject before a lit green or blue screen.

    The light falls off to a side by up to a fifth, the screen's light spills onto the subject's rim, and there is
    sensor noise of 1/255. A function of the arguments.
    """
    rng = np.random.default_rng(position_seed("screen", seed))
    drawn = draw(subject, position_seed("chroma", seed), size)  # type: ignore[arg-type]
    screen = GREEN if rng.random() < 0.7 else BLUE
    base = np.array([0.15, 0.7, 0.2] if screen == GREEN else [0.12, 0.25, 0.75])
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.2 * (np.cos(turn) * x + np.sin(turn) * y)
    behind = torch.from_numpy((light[None] * base[:, None, None]).astype(np.float32))
    rim = torch.nn.functional.avg_pool2d(1 - drawn.alpha[None], 9, 1, 4)[0] * drawn.alpha
    front = drawn.foreground + 0.25 * rim * behind
    noise = torch.from_numpy(rng.normal(0, 1 / 255, (3, size, size)).astype(np.float32))
    return (drawn.alpha * front + (1 - drawn.alpha) * behind + noise).clamp(0, 1), drawn.alpha
