"""MAD, MSE, Grad, Conn and dtSSD of clips as torchmetrics: frames streamed in, the mean over clips, on any processes.

    steadiness = DtSSD()
    steadiness.update(pred, truth, clip=3)     # (T, 1, H, W) floats in [0, 1]: the next frames of clip 3, in order
    steadiness.compute()                       # mean over clips of each clip's mean
    steadiness.per_clip()                      # {3: value}, of all processes

`stylematte.video.metrics` has the definitions. A clip may come in any number of updates, one frame or all of them, and
beside other clips; the frames of one clip belong on one process. States are each frame's value and its clip's number:
lists that are concatenated over processes and by `merge_state`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from stylematte.metrics import score_pair
from stylematte.video.metrics import dtssd_pair


class ClipMetric(Metric):
    """The mean over clips of one figure's mean over a clip's frames (dtSSD: over its pairs of frames)."""

    figure: str
    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    clips: list[Tensor]
    values: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("clips", [], "cat")
        self.add_state("values", [], "cat")

    def update(self, pred: Tensor, truth: Tensor, clip: int = 0) -> None:
        """pred, truth: the next frames (T, 1, H, W) of this clip, floats in [0, 1]. Raises ValueError."""
        if pred.ndim != 4 or pred.shape[1] != 1 or pred.shape != truth.shape:
            raise ValueError(f"expected two clips (T, 1, H, W), got {tuple(pred.shape)} and {tuple(truth.shape)}")
        found = self._measured(_planes(pred), _planes(truth), clip)
        self.values.append(torch.tensor(found, dtype=torch.float64, device=self.device))
        self.clips.append(torch.full((len(found),), clip, dtype=torch.int64, device=self.device))

    def compute(self) -> Tensor:
        """A float64 scalar; NaN where nothing was measured."""
        return torch.tensor(list(self._means().values()), dtype=torch.float64).mean()

    def per_clip(self) -> dict[int, float]:
        """The clip's number -> its value, sorted, over all processes. Every process must call it."""
        with self.sync_context(should_sync=self._to_sync, should_unsync=self._should_unsync):
            return self._means()

    def _means(self) -> dict[int, float]:
        if isinstance(self.clips, list) and not self.clips:
            return {}
        clips, values = dim_zero_cat(self.clips), dim_zero_cat(self.values)
        return {clip: float(values[clips == clip].mean()) for clip in sorted(set(clips.tolist()))}

    def _measured(self, pred: np.ndarray, truth: np.ndarray, clip: int) -> list[float]:
        return [score_pair(p, a, only=(self.figure,))[self.figure] for p, a in zip(pred, truth, strict=True)]


class MAD(ClipMetric):
    """Mean absolute difference."""

    figure = "MAD"


class MSE(ClipMetric):
    """Mean squared difference."""

    figure = "MSE"


class Grad(ClipMetric):
    """Gradient error."""

    figure = "Grad"


class Conn(ClipMetric):
    """Connectivity error."""

    figure = "Conn"


class DtSSD(ClipMetric):
    """Temporal coherence: 100 times the RMS of the error's change between frames."""

    figure = "dtSSD"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._previous: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def reset(self) -> None:
        """Forget what was measured, and each clip's last frame."""
        super().reset()
        self._previous = {}

    def _measured(self, pred: np.ndarray, truth: np.ndarray, clip: int) -> list[float]:
        found = []
        for now in zip(pred, truth, strict=True):
            if clip in self._previous:
                before = self._previous[clip]
                found.append(dtssd_pair(now[0], before[0], now[1], before[1]))
            self._previous[clip] = now
        return found


def video_metrics() -> MetricCollection:
    """All five under the names of `CLIP_FIGURES`."""
    kinds: dict[str, Metric | MetricCollection] = {kind.figure: kind() for kind in (MAD, MSE, Grad, Conn, DtSSD)}
    return MetricCollection(kinds, compute_groups=False)


def _planes(clip: Tensor) -> np.ndarray:
    """(T, 1, H, W) -> (T, H, W); bfloat16 and float16 become float32."""
    flat = clip.detach()[:, 0].cpu()
    return (flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat).numpy()
