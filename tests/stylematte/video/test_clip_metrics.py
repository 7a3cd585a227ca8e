"""dtSSD and the clip metrics against closed forms and loops written out; as torchmetrics streamed and merged."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stylematte.metrics import score_pair
from stylematte.video.meters import DtSSD, video_metrics
from stylematte.video.metrics import CLIP_FIGURES, ClipMetrics


def clip(seed: int, frames: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """pred, truth (T, 10, 12)"""
    pred, truth = np.random.default_rng(seed).random((2, frames, 10, 12))
    return pred, truth


def measured(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    metrics = ClipMetrics()
    for p, a in zip(pred, truth, strict=True):
        metrics.update(p, a)
    return metrics.compute()


def test_against_loops_over_pixels() -> None:
    pred, truth = clip(0)
    pairs = []
    for t in range(1, 5):
        total = 0.0
        for y in range(10):
            for x in range(12):
                change = pred[t, y, x] - pred[t - 1, y, x]
                true_change = truth[t, y, x] - truth[t - 1, y, x]
                total += (change - true_change) ** 2
        pairs.append(100 * math.sqrt(total / 120))
    found = measured(pred, truth)
    assert found["dtSSD"] == pytest.approx(sum(pairs) / 4, rel=1e-12)
    for figure in ("MAD", "MSE", "Grad", "Conn"):
        each = [score_pair(p, a)[figure] for p, a in zip(pred, truth, strict=True)]
        assert found[figure] == pytest.approx(sum(each) / 5, rel=1e-12)


def test_closed_forms() -> None:
    _, truth = clip(1)
    assert measured(truth, truth) == dict.fromkeys(CLIP_FIGURES, 0.0)
    low = 0.75 * truth
    constant = measured(low + 0.2, low)
    assert constant["dtSSD"] == pytest.approx(0, abs=1e-12)  # the same error in every frame is steady
    assert constant["MAD"] == pytest.approx(0.2)
    flicker = low + 0.2 * (np.arange(5) % 2)[:, None, None]
    assert measured(flicker, low)["dtSSD"] == pytest.approx(20)  # the error changes by .2 at every pixel
    half = low.copy()
    half[1::2, :, :6] += 0.2
    assert measured(half, low)["dtSSD"] == pytest.approx(20 / math.sqrt(2))  # at half of the pixels
    frozen = np.repeat(truth[:1], 5, 0)
    moves = [100 * np.sqrt(np.mean((truth[t] - truth[t - 1]) ** 2)) for t in range(1, 5)]
    assert measured(frozen, truth)["dtSSD"] == pytest.approx(np.mean(moves))  # a matte that does not move is not steady


def test_one_frame_has_no_steadiness_and_sizes_must_stay() -> None:
    pred, truth = clip(2, 1)
    assert math.isnan(measured(pred, truth)["dtSSD"])
    metrics = ClipMetrics()
    metrics.update(pred[0], truth[0])
    with pytest.raises(ValueError, match="frames of a clip are of one size"):
        metrics.update(pred[0, :5], truth[0, :5])


def _tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames)[:, None]


def test_torchmetrics_streamed_interleaved_and_merged() -> None:
    clips = {3: clip(3), 7: clip(4, 3)}
    meters = video_metrics()
    for frame in range(5):
        for name, (pred, truth) in clips.items():
            if frame < len(pred):
                part = slice(frame, frame + 1)
                meters.update(_tensor(pred[part]), _tensor(truth[part]), clip=name)
    rows = {name: measured(*frames) for name, frames in clips.items()}
    for figure, value in meters.compute().items():
        assert value.item() == pytest.approx((rows[3][figure] + rows[7][figure]) / 2, rel=1e-12)
    parts = [DtSSD(), DtSSD()]
    for part, (name, frames) in zip(parts, clips.items(), strict=True):
        part.update(*map(_tensor, frames), clip=name)
    parts[0].merge_state(parts[1])
    assert parts[0].per_clip() == pytest.approx({name: row["dtSSD"] for name, row in rows.items()})
    parts[0].reset()
    parts[0].update(_tensor(clips[3][0][:1]), _tensor(clips[3][1][:1]), clip=3)
    assert parts[0].per_clip() == {}  # the last frame before the reset is forgotten, too
    assert math.isnan(parts[0].compute())
    with pytest.raises(ValueError, match=r"two clips \(T, 1, H, W\)"):
        parts[0].update(torch.rand(1, 8, 8), torch.rand(1, 8, 8))
