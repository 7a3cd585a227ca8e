"""Folders of frames are scored as their arrays are; what does not belong together is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, write_alpha
from stylematte.video.metrics import ClipMetrics
from stylematte.video.score import score_clips

FRAMES = 11


def write(folder: Path, seed: int, frames: int = FRAMES, size: int = 8, name: str = "{}.png") -> Path:
    alphas = torch.rand(frames, 1, size, size, generator=torch.Generator().manual_seed(seed))
    for number, alpha in enumerate(alphas):
        write_alpha(folder / name.format(number), alpha)
    return folder


def expected(pred: Path, truth: Path, ours: str = "{}.png", theirs: str = "{}.png") -> dict[str, float]:
    metrics = ClipMetrics()
    for number in range(FRAMES):
        one, other = read_alpha(pred / ours.format(number)), read_alpha(truth / theirs.format(number))
        metrics.update(one[0].numpy(), other[0].numpy())
    return metrics.compute()


def test_frames_by_number_whatever_they_are_called(tmp_path: Path) -> None:
    pred = write(tmp_path / "mattes", 0, name="frame{}_alpha.png")  # frame10 after frame9
    write(pred, 1, 3, name="frame{}_cutout.png")  # no mattes
    truth = write(tmp_path / "clip/alpha", 2, name="{:06d}.png")
    write(tmp_path / "clip/image", 3)
    found = score_clips(pred, tmp_path / "clip")
    assert found.clips == {"mattes": expected(pred, truth, "frame{}_alpha.png", "{:06d}.png")}
    assert found.interval["dtSSD"] is None


def test_many_clips_and_their_mean(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 2)):
        write(tmp_path / "pred" / name, seed)
        write(tmp_path / "truth" / name / "alpha", seed + 1)
    write(tmp_path / "pred/c", 5, 1)
    write(tmp_path / "truth/c", 5, 1)
    found = score_clips(tmp_path / "pred", tmp_path / "truth")
    rows = {name: expected(tmp_path / "pred" / name, tmp_path / "truth" / name / "alpha") for name in "ab"}
    assert {name: found.clips[name] for name in "ab"} == rows
    assert found.mean["MAD"] == pytest.approx((rows["a"]["MAD"] + rows["b"]["MAD"] + 0) / 3)
    assert found.mean["dtSSD"] == pytest.approx((rows["a"]["dtSSD"] + rows["b"]["dtSSD"]) / 2)  # one frame has none
    assert found.as_json()["clips"]["c"] == {"MAD": 0, "MSE": 0, "Grad": 0, "Conn": 0, "dtSSD": None}
    assert np.isnan(found.clips["c"]["dtSSD"])


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    short, whole = write(tmp_path / "pred/a", 0, 3), write(tmp_path / "truth/a", 0)
    with pytest.raises(DataError, match=r"pred/a: 3 frames, its truth .*truth/a has 11"):
        score_clips(short, whole)
    with pytest.raises(DataError, match=r"frame 0: 6 x 6 pixels, its truth 8 x 8; resize the prediction"):
        score_clips(write(tmp_path / "small", 0, size=6), whole)
    with pytest.raises(DataError, match=r"is one clip, .* a folder of clips"):
        score_clips(short, tmp_path / "truth")
    write(tmp_path / "truth/b", 0)
    with pytest.raises(DataError, match=r"pred lacks the clip b \(1 clips are in one folder only\)"):
        score_clips(tmp_path / "pred", tmp_path / "truth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither frames, folders of frames nor videos"):
        score_clips(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(DataError, match="no such file or folder"):
        score_clips(tmp_path / "nowhere", whole)
