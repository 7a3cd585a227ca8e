"""Alpha inside the unknown band of a frame: by a matter that takes trimaps, a plain one, or closed form and kin."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import torch
from torch import Tensor

from stylematte.errors import DataError
from stylematte.imagefile import from_uint8, resize
from stylematte.inference.by_trimap import alpha_by
from stylematte.inference.matter import Matter
from stylematte.inference.options import InferenceOptions, brought_back, trimap_at
from stylematte.inference.predict import takes_trimap

Box = tuple[slice, slice]
AUTO, NETWORK, CLOSED_FORM = "auto", "network", "closed-form"
MARGIN = 48
"""Pixels around the band that a matter or a solver sees, too."""


def box_of(region: np.ndarray) -> Box | None:
    """Rows and columns of the smallest box around a bool region (H, W); None if it is empty."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def chosen(matter: Matter | None, method: str) -> str:
    """auto: a matter that takes trimaps and learned at photos' own scale finds the band itself; for any other closed
    form does, because a network shown its band reduced makes soft edges (docs/video.md)."""
    if method != AUTO:
        return method
    able = matter is not None and takes_trimap(matter.network) and matter.native_side > 0
    return NETWORK if able else CLOSED_FORM


class Band:
    """How alpha is found in the band. inference: how the matter is shown a frame and its trimap. solved: unknown pixels
    that closed form and its kin solve for."""

    def __init__(self, matter: Matter | None, inference: InferenceOptions | None, method: str, solved: int) -> None:
        self.matter, self.method, self.solved = matter, chosen(matter, method), solved
        self.inference = inference or (InferenceOptions() if matter is None else matter.options)

    @property
    def guided(self) -> bool:
        """True if a trimap changes what is found, not only where it is taken."""
        return self.method != NETWORK or (self.matter is not None and takes_trimap(self.matter.network))

    def plain(self, image: np.ndarray) -> np.ndarray:
        """image (H, W, 3) -> the matter's own alpha (H, W) of the frame alone."""
        assert self.matter is not None, "masks or a matter"
        return self.matter.predict([from_uint8(image)], self.inference)[0][0].numpy()

    def by_trimap(self, image: np.ndarray, trimap: np.ndarray, box: Box) -> np.ndarray | None:
        """image (H, W, 3), trimap (H, W) -> alpha of the box, seen with MARGIN around it, or whole where the matter
        is shown whole frames at its own size. None where a solver fails: one frame must not end a video."""
        around = box
        if self.method != NETWORK or self.inference.size is None:
            around = _grown(box, trimap.shape)
        seen = from_uint8(np.ascontiguousarray(image[around]))
        known = torch.from_numpy(np.ascontiguousarray(trimap[around]))[None]
        rows, columns = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(around, box, strict=True))
        found = self._found(seen, known)
        return None if found is None else found[0, rows, columns].numpy()

    def _found(self, image: Tensor, known: Tensor) -> Tensor | None:
        if self.method == NETWORK:
            assert self.matter is not None, "a network predicts"
            return self.matter.predict([image], self.inference, [known])[0]
        scale = min(1.0, self.solved / max(1, int((known == 0.5).sum()))) ** 0.5
        size = (max(16, round(image.shape[-2] * scale)), max(16, round(image.shape[-1] * scale)))
        small, less = (resize(image, size), trimap_at(known, size)) if scale < 1 else (image, known)
        try:
            with redirect_stdout(StringIO()):  # pymatting prints when it starts over: lines between ours, for frames
                alpha = alpha_by(self.method, small, less)
        except DataError:
            return None
        return brought_back(alpha, small, image) if scale < 1 else alpha


def _grown(box: Box, size: tuple[int, ...]) -> Box:
    rows, columns = (
        slice(max(0, part.start - MARGIN), min(side, part.stop + MARGIN)) for part, side in zip(box, size, strict=True)
    )
    return rows, columns
