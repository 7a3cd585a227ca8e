"""The matting metrics as torchmetrics: update with batches, on any number of processes, compute the mean over pictures.

    mean_sad = SAD()
    mean_sad.update(pred, truth, index=index)     # (N, 1, H, W) floats in [0, 1]; index (N,): each picture's number
    mean_sad.compute()                            # mean over all pictures of all processes
    mean_sad.per_picture()                        # {number: value}, of all processes

States are the sum and the count, added over processes, and the list of each picture's value. A distributed sampler
repeats pictures to fill its last batch; with `index` given a repeated picture counts once. All of it in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from stylematte.metrics import FIGURES, TRIMAP_FIGURES, score_pair

REGIONS = ("whole", "unknown", "foreground", "background")
_SUFFIX = {"whole": "", "unknown": "-T", "foreground": "-FG", "background": "-BG"}


class MattingMetric(Metric):
    """The mean over pictures of one figure; see `stylematte.metrics.score_pair` for its definition.

    region: "whole", or "unknown" of the trimap given to `update` (SAD also "foreground" and "background").
    """

    figure: str
    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor
    indices: list[Tensor]
    values: list[Tensor]

    def __init__(self, region: str = "whole", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = self.figure + _SUFFIX.get(region, "?")
        if self.key not in TRIMAP_FIGURES:
            raise ValueError(f"{self.figure} has no region {region!r}; expected one of {', '.join(REGIONS)}")
        self.add_state("total", torch.zeros((), dtype=torch.float64), "sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), "sum")
        self.add_state("indices", [], "cat")
        self.add_state("values", [], "cat")

    def update(self, pred: Tensor, truth: Tensor, trimap: Tensor | None = None, index: Tensor | None = None) -> None:
        """pred, truth, trimap: (N, 1, H, W) floats; index (N,) integers >= 0, the pictures' numbers."""
        if self.key not in FIGURES and trimap is None:
            raise ValueError(f"{self.key} is measured inside a trimap, but update got none")
        values = self._measured(pred, truth, trimap if self.key not in FIGURES else None)
        self.total += values.sum()
        self.count += len(values)
        self.values.append(values)
        self.indices.append(
            torch.full_like(values, -1, dtype=torch.int64) if index is None else index.to(values.device)
        )

    def compute(self) -> Tensor:
        """The mean over pictures, a float64 scalar; NaN before the first update."""
        indices, values = self._listed()
        if len(indices) and (indices >= 0).all():
            return torch.stack(list(_by_index(indices, values).values())).mean()
        return self.total / self.count

    def per_picture(self) -> dict[int, float]:
        """index -> value, sorted, over all processes. Every process must call it. Needs `index` at each update."""
        with self.sync_context(should_sync=self._to_sync, should_unsync=self._should_unsync):
            indices, values = self._listed()
        if len(indices) and (indices < 0).any():
            raise ValueError("per_picture needs the pictures' numbers: pass index=... to every update")
        return {index: float(value) for index, value in sorted(_by_index(indices, values).items())}

    def _listed(self) -> tuple[Tensor, Tensor]:
        if isinstance(self.indices, list) and not self.indices:
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
        return dim_zero_cat(self.indices), dim_zero_cat(self.values)

    def _measured(self, pred: Tensor, truth: Tensor, trimap: Tensor | None) -> Tensor:
        if pred.ndim != 4 or pred.shape[1] != 1 or pred.shape != truth.shape:
            raise ValueError(f"expected two batches (N, 1, H, W), got {tuple(pred.shape)} and {tuple(truth.shape)}")
        trimaps = [None] * len(pred) if trimap is None else [_plane(each) for each in trimap]
        values = [self._one(_plane(p), _plane(a), t) for p, a, t in zip(pred, truth, trimaps, strict=True)]
        return torch.tensor(values, dtype=torch.float64, device=self.total.device)

    def _one(self, pred: np.ndarray, truth: np.ndarray, trimap: np.ndarray | None) -> float:
        return score_pair(pred, truth, trimap, only=(self.key,))[self.key]


class SAD(MattingMetric):
    """Sum of absolute differences, in thousands."""

    figure = "SAD"


class MSE(MattingMetric):
    """Mean squared difference."""

    figure = "MSE"


class MAD(MattingMetric):
    """Mean absolute difference."""

    figure = "MAD"


class Grad(MattingMetric):
    """Gradient error."""

    figure = "Grad"


class Conn(MattingMetric):
    """Connectivity error."""

    figure = "Conn"


def matting_metrics(trimap: bool = False) -> MetricCollection:
    """All of `FIGURES`, with a trimap all of `TRIMAP_FIGURES`, under those names."""
    kinds = {kind.figure: kind for kind in (SAD, MSE, MAD, Grad, Conn)}
    regions = {suffix: region for region, suffix in _SUFFIX.items()}
    meters: dict[str, Metric | MetricCollection] = {}
    for key in TRIMAP_FIGURES if trimap else FIGURES:
        figure, dash, rest = key.partition("-")
        meters[key] = kinds[figure](regions[dash + rest])
    return MetricCollection(meters, compute_groups=False)


def _by_index(indices: Tensor, values: Tensor) -> dict[int, Tensor]:
    """The last value of each index."""
    return dict(zip(indices.tolist(), values, strict=True))


def _plane(picture: Tensor) -> np.ndarray:
    """(1, H, W) -> (H, W); bfloat16 and float16 become float32."""
    flat = picture.detach()[0].cpu()
    return (flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat).numpy()
