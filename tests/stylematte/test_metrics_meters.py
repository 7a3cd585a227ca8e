"""torchmetrics: the mean of the pictures' figures, whoever measured them, in batches, twice or on another process."""

from __future__ import annotations

from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing
from torch import Tensor

from stylematte.metrics import FIGURES, TRIMAP_FIGURES, score_pair
from stylematte.metrics.meters import MSE, SAD, Grad, matting_metrics

N = 7


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, truth = torch.rand(2, N, 1, 12, 10, generator=generator)
    trimap = torch.randint(0, 3, (N, 1, 12, 10), generator=generator) / 2
    return pred, truth, trimap


def expected(trimap: bool) -> list[dict[str, float]]:
    return [
        score_pair(p[0].numpy(), a[0].numpy(), t[0].numpy() if trimap else None)
        for p, a, t in zip(*pictures(), strict=True)
    ]


@pytest.mark.parametrize("trimap", [False, True])
def test_means_and_pictures_equal_score_pair(trimap):
    pred, truth, trimaps = pictures()
    meters = matting_metrics(trimap)
    for batch in (slice(0, 3), slice(3, 4), slice(4, N)):
        meters.update(
            pred[batch], truth[batch], trimap=trimaps[batch] if trimap else None, index=torch.arange(N)[batch]
        )
    rows, means = expected(trimap), meters.compute()
    assert set(means) == set(TRIMAP_FIGURES if trimap else FIGURES)
    for key, mean in means.items():
        assert mean.item() == pytest.approx(np.mean([row[key] for row in rows]), rel=1e-12)
        assert meters[key].per_picture() == pytest.approx({i: row[key] for i, row in enumerate(rows)})


def test_a_picture_that_comes_twice_counts_once_and_reset_forgets():
    pred, truth, _ = pictures()
    meter = SAD()
    meter.update(pred, truth, index=torch.arange(N))
    meter.update(pred[:2], truth[:2], index=torch.tensor([0, 1]))
    assert meter.compute().item() == pytest.approx(np.mean([row["SAD"] for row in expected(False)]))
    meter.reset()
    assert meter.per_picture() == {}
    meter.update(pred[:1], truth[:1])
    assert meter.compute().item() == pytest.approx(expected(False)[0]["SAD"])
    with pytest.raises(ValueError, match="pass index="):
        meter.per_picture()


def test_bfloat16_is_measured_bytes_are_refused():
    pred, truth, _ = pictures()
    meter = MSE()
    meter.update(pred.bfloat16(), pred.bfloat16())
    assert meter.compute() == 0
    with pytest.raises(ValueError, match="prediction is uint8"):
        meter.update((pred * 255).byte(), truth)
    with pytest.raises(ValueError, match=r"two batches \(N, 1, H, W\)"):
        meter.update(pred[0], truth[0])
    with pytest.raises(ValueError, match="SAD-T is measured inside a trimap"):
        SAD("unknown").update(pred, truth)
    with pytest.raises(ValueError, match="Grad has no region 'foreground'"):
        Grad("foreground")


def _measure(rank: int, store: Path, shares: list[list[int]], answers: SimpleQueue) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=len(shares))
    pred, truth, _ = pictures()
    meter = SAD()
    for index in shares[rank]:
        meter.update(pred[index : index + 1], truth[index : index + 1], index=torch.tensor([index]))
    answers.put((rank, meter.compute().item(), meter.per_picture()))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_two_processes_with_unequal_shares_and_a_repeated_picture_equal_one(tmp_path):
    answers = torch.multiprocessing.get_context("fork").SimpleQueue()
    shares = [[0, 2, 4, 6], [1, 3, 5, 0, 1]]
    torch.multiprocessing.start_processes(
        _measure, (tmp_path / "store", shares, answers), nprocs=2, start_method="fork"
    )
    rows = [row["SAD"] for row in expected(False)]
    for _, mean, each in sorted(answers.get() for _ in shares):
        assert mean == pytest.approx(np.mean(rows), rel=1e-12)
        assert each == pytest.approx(dict(enumerate(rows)))
