"""A photo is recognised after what happens to photos, and not taken for another one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.data.near_duplicates import fingerprint, near_duplicates
from stylematte.imagefile import read_rgb, resize, write_rgb


def photos(count: int) -> list[Tensor]:
    """Blurred noise: no two alike, all of the same make."""
    generator = torch.Generator().manual_seed(1)
    return [
        F.interpolate(torch.rand(1, 3, 7, 6, generator=generator), (140, 120), mode="bicubic")[0].clamp(0, 1)
        for _ in range(count)
    ]


CHANGES = {
    "smaller": lambda photo, folder: resize(photo, (47, 40)),
    "jpeg": lambda photo, folder: (write_rgb(folder / "x.jpg", photo), read_rgb(folder / "x.jpg"))[1],
    "mirrored": lambda photo, folder: photo.flip(-1),
    "brighter": lambda photo, folder: (photo * 1.2).clamp(0, 1),
    "noisy": lambda photo, folder: (photo + 0.05 * torch.randn(photo.shape)).clamp(0, 1),
    "face blurred": lambda photo, folder: torch.cat(
        [photo[:, :50], F.avg_pool2d(photo[:, 50:80], 9, 1, 4), photo[:, 80:]], dim=1
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(change, tmp_path):
    torch.manual_seed(0)
    originals = photos(30)
    prints = [fingerprint(photo) for photo in originals]
    prints += [fingerprint(CHANGES[change](originals[place], tmp_path)) for place in (3, 17)]
    assert near_duplicates(prints) == [(3, 30), (17, 31)]
    assert near_duplicates(prints, block=7) == [(3, 30), (17, 31)]


def test_flat_pictures_and_none_are_no_copies():
    flat = [fingerprint(torch.full((3, 40, 40), value)) for value in (0.2, 0.2, 0.9)]
    assert near_duplicates(flat) == near_duplicates([]) == []
