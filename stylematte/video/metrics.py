"""MAD, MSE, Grad, Conn and dtSSD of a clip of mattes against its truth, frame by frame in constant memory.

The first four are the image metrics (`stylematte.metrics`), averaged over frames. dtSSD (Erofeev et al. 2015,
"Perceptually Motivated Benchmark for Video Matting") measures how far the matte's change over time is from the truth's.
Scaled and divided as in the evaluation code of RobustVideoMatting (Lin et al. 2022), for the frames t - 1 and t

    dtSSD_t = 100 sqrt( mean over pixels of ((p_t - p_{t-1}) - (a_t - a_{t-1}))^2 )

and the clip's value is the mean over its T - 1 pairs of frames. (That code counts a 0 for the first frame, too: its
value is ours times (T - 1) / T. That of VideoMatting108, Zhang et al. 2021, takes the root of a sum over the unknown
region instead.) An error that stays the same from frame to frame gives 0, so dtSSD never stands alone. Lower is better.
"""

from __future__ import annotations

import math

import numpy as np

from stylematte.metrics import score_pair
from stylematte.metrics.checked import checked

FRAME_FIGURES = ("MAD", "MSE", "Grad", "Conn")
CLIP_FIGURES = (*FRAME_FIGURES, "dtSSD")
"""In the order every table prints them."""


def dtssd_pair(pred: np.ndarray, previous_pred: np.ndarray, truth: np.ndarray, previous_truth: np.ndarray) -> float:
    """dtSSD of one pair of frames, (H, W) floats in [0, 1]. Raises ValueError."""
    pred, truth = checked(pred, truth)
    previous_pred, previous_truth = checked(previous_pred, previous_truth)
    if pred.shape != previous_pred.shape:
        raise ValueError(
            f"a frame of {pred.shape} follows one of {previous_pred.shape}; frames of a clip are of one size"
        )
    error = np.subtract(pred, truth, dtype=np.float64)
    error -= np.subtract(previous_pred, previous_truth, dtype=np.float64)
    return 100 * math.sqrt(float(np.dot(error.ravel(), error.ravel())) / error.size)


class ClipMetrics:
    """The figures of one clip, given its frames in order; holds the previous frame and nothing else of the clip."""

    def __init__(self) -> None:
        self.totals = dict.fromkeys(CLIP_FIGURES, 0.0)
        self.frames = 0
        self._previous: tuple[np.ndarray, np.ndarray] | None = None

    def update(self, pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
        """The next frame, (H, W) floats in [0, 1]; returns its figures, dtSSD from the second on. Raises ValueError."""
        found = score_pair(pred, truth, only=FRAME_FIGURES)
        if self._previous is not None:
            found["dtSSD"] = dtssd_pair(pred, self._previous[0], truth, self._previous[1])
        self._previous = pred, truth
        self.frames += 1
        for figure, value in found.items():
            self.totals[figure] += value
        return found

    def compute(self) -> dict[str, float]:
        """The clip's means by name; NaN where there was nothing to measure (dtSSD of a single frame)."""
        counts = {figure: self.frames - (figure == "dtSSD") for figure in CLIP_FIGURES}
        return {figure: self.totals[figure] / n if n > 0 else math.nan for figure, n in counts.items()}
