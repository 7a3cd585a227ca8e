"""Frames -> alphas, one after the other: mask, trimap, matter in the unknown band, temporal guard.

What is carried from frame to frame is `State`: with it a killed run goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from stylematte.errors import ConfigError
from stylematte.imagefile import to_uint8
from stylematte.inference.matter import Matter
from stylematte.inference.options import InferenceOptions
from stylematte.video.band import NETWORK, Band, Box, box_of
from stylematte.video.flow import Motion, motion, trust, warped
from stylematte.video.options import VideoOptions
from stylematte.video.trimaps import enlarged, trimap_of


@dataclass
class State:
    """Of the previous frame: grey (H, W) and small grey (h, w), uint8; steadied mask (h, w) and alpha (H, W), float32
    in [0, 1]. None before the first frame."""

    grey: np.ndarray | None = None
    small: np.ndarray | None = None
    mask: np.ndarray | None = None
    alpha: np.ndarray | None = None

    def save(self, path: Path) -> None:
        """As .npz, under this very name."""
        with path.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> State:
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


class SteadyMatter:
    """A matter that is shown frames in their order. matter: None where masks and a method other than "network" do.

    inference: how frames are shown (None: as is usual for the matter). Raises ConfigError.
    """

    def __init__(
        self,
        matter: Matter | None,
        options: VideoOptions | None = None,
        inference: InferenceOptions | None = None,
        state: State | None = None,
    ) -> None:
        self.options, self.state = options or VideoOptions(), state or State()
        self.options.check()
        self.band = Band(matter, inference, self.options.method, self.options.solved)
        if matter is None and self.band.method == NETWORK:
            raise ConfigError("--method network needs a matter; closed-form with --masks needs none")

    def __call__(self, image: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """image (H, W, 3) uint8 or uint16 -> alpha (H, W) float32. mask (h, w) in [0, 1]: of another segmenter."""
        options, grey = self.options, grey_of(image)
        size = small_size(grey.shape, options.side)
        small = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA)
        moved = self._motion(small)
        full, coarse = self._coarse(image, mask, size)
        steadied = self._steadied(coarse, small, moved)
        speed = None if moved is None else moved.speed()
        known = enlarged(trimap_of(steadied, speed, options.inward, options.outward, options.motion), grey.shape)
        alpha = known.copy()
        box = box_of(known == 0.5)
        if box is not None:
            found = self.band.by_trimap(image, known, box) if full is None else full[box]
            if found is None:  # nothing to solve from: the mask itself
                found = cv2.resize(steadied, grey.shape[::-1])[box]
            found = self._guarded(found, grey, moved, box)
            alpha[box] = np.where(known[box] == 0.5, found, known[box])
        self.state = State(grey, small, steadied, alpha)
        return alpha

    def _motion(self, small: np.ndarray) -> Motion | None:
        """From the previous frame; None if there is none, or a cut between."""
        before = self.state.small
        if before is None or before.shape != small.shape:
            return None
        found = motion(before, small)
        return None if found.cut else found

    def _coarse(
        self, image: np.ndarray, mask: np.ndarray | None, size: tuple[int, int]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """The matter's own alpha (H, W) where that is what the band gets, and the mask (h, w) of this frame."""
        if self.band.guided:
            if mask is None:
                mask = self.band.plain(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))
            return None, cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA)
        full = self.band.plain(image)
        return full, cv2.resize(full if mask is None else mask, size[::-1], interpolation=cv2.INTER_AREA)

    def _steadied(self, coarse: np.ndarray, small: np.ndarray, moved: Motion | None) -> np.ndarray:
        """The mask, with the previous one carried along where the flow can be trusted."""
        if moved is None or self.state.mask is None or self.state.small is None:
            return coarse
        there, consistent = moved.at(small.shape, (slice(0, small.shape[0]), slice(0, small.shape[1])))
        share = self.options.mask_memory * trust(small, warped(self.state.small, there), consistent)
        return coarse + share * (warped(self.state.mask, there) - coarse)

    def _guarded(self, found: np.ndarray, grey: np.ndarray, moved: Motion | None, box: Box) -> np.ndarray:
        """The alpha of a box, with the previous one carried along where flow and colour agree that it is the same."""
        if moved is None or self.state.alpha is None or self.state.grey is None:
            return found
        there, consistent = moved.at(grey.shape, box)
        share = self.options.alpha_memory * trust(grey[box], warped(self.state.grey, there), consistent)
        return found + share * (warped(self.state.alpha, there) - found)


def grey_of(image: np.ndarray) -> np.ndarray:
    """image (H, W, 3) uint8 or uint16 RGB -> (H, W) uint8."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return grey if grey.dtype == np.uint8 else (grey >> 8).astype(np.uint8)


def small_size(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """(height, width) with the longest side at most `side`."""
    scale = min(1.0, side / max(size))
    return max(16, round(size[0] * scale)), max(16, round(size[1] * scale))


def matte_frames(
    frames: Iterable[Tensor | np.ndarray],
    matter: Matter | None,
    options: VideoOptions | None = None,
    *,
    inference: InferenceOptions | None = None,
    masks: Iterable[np.ndarray] | None = None,
) -> Iterator[Tensor]:
    """frames (3, H, W) in [0, 1], or arrays (H, W, 3) of uint8 or uint16 -> alphas (1, H, W) in [0, 1], streaming.

    One frame is read and one alpha given at a time; the memory does not depend on their number. masks: (h, w) in
    [0, 1] for each frame, of another segmenter. inference: how the matter is shown a frame. Raises ConfigError.
    """
    steady = SteadyMatter(matter, options, inference)
    given = None if masks is None else iter(masks)
    for frame in frames:
        image = to_uint8(frame) if isinstance(frame, Tensor) else frame
        yield torch.from_numpy(steady(image, None if given is None else next(given)))[None]
