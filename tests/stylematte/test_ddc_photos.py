"""The distance consistency loss of true alphas: better than blurred ones, and `scaled` better than hard-edged ones."""

import csv
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from stylematte.imagefile import read_alpha, read_rgb, resize
from stylematte.losses.ddc import PAPER, excess
from tests.fixture_files import outside

SCALE = 0.375
BLUR = torch.tensor([1.0, 4, 6, 4, 1]) / 16  # one pixel wide at the reduced size


@cache
def portraits():
    """(image, truth, blurred truth, binarised truth) of the portraits with true alpha, at 3/8 of their size."""
    data = outside("data")
    with open(data / "manifest.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["kind"] == "alpha" and row["subject"] == "portrait"]
    found = []
    for row in rows:
        image, alpha = read_rgb(data / row["file"])[None], read_alpha(data / row["alpha"])[None]
        size = tuple(round(SCALE * side) for side in image.shape[-2:])
        image, alpha = resize(image, size), resize(alpha, size)
        padded = F.pad(alpha, (2, 2, 2, 2), mode="replicate")
        blurred = F.conv2d(padded, (BLUR[:, None] * BLUR)[None, None])
        found.append((image, alpha, blurred, (alpha > 0.5).float()))
    return found


@pytest.mark.parametrize("variant", ["ddc", "scaled", "hinge"])
def test_truth_is_preferred(variant):
    ranks, config = [], replace(PAPER, variant=variant)
    for image, *mattes in portraits():
        truth, blurred, binary = excess(image.expand(3, -1, -1, -1), torch.cat(mattes), config=config).tolist()
        assert truth < blurred
        ranks.append(truth < binary)
    assert len(ranks) == 5
    if variant == "scaled":
        assert sum(ranks) >= 4
    if variant == "ddc":
        assert sum(ranks) <= 1  # why `scaled` exists: the paper's form prefers hard edges
