"""Cut-outs for the generator: framing of a subject, and batches of encoded RGBA in an order fixed by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stylematte import distributed
from stylematte.imagefile import read_rgba, resize
from stylematte.rgba import premultiply_about_grey, unpremultiply_about_grey
from stylematte.sampling import Draw, LateLoader, MixtureSampler, shares_to_places

VISIBLE = 0.05
MARGIN = 0.08


def subject_window(alpha: Tensor) -> tuple[int, int, int]:
    """(left, top, side) of the square around the subject of alpha (1, H, W), in pixels; may leave the picture.

    Centred on the bounding box of alpha > 0.05 with a margin of 8 % of its size. A subject cut off by the bottom edge
    (a bust) stays on the bottom edge. Raises ValueError if nothing is visible.
    """
    seen = alpha[0] > VISIBLE
    if not seen.any():
        raise ValueError(f"no subject: alpha is nowhere above {VISIBLE}")
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    grounded = bottom == alpha.shape[-2]
    tall = (bottom - top) * (1 + (1 if grounded else 2) * MARGIN)
    side = math.ceil(max(tall, (right - left) * (1 + 2 * MARGIN)))
    window_top = bottom - side if grounded else (top + bottom - side) // 2
    return (left + right - side) // 2, window_top, side


def frame_cutout(rgba: Tensor, size: int) -> Tensor:
    """Straight RGBA (4, H, W) -> (4, size, size) with the subject at a normal position and scale (`subject_window`).

    Outside the picture is transparent. Resized premultiplied, so colour under alpha 0 never shows.
    """
    left, top, side = subject_window(rgba[3:])
    height, width = rgba.shape[1:]
    encoded = premultiply_about_grey(rgba)
    encoded[3] += 1  # count alpha from 0: zeros are transparent
    # A negative pad crops.
    encoded = F.pad(encoded, (-left, left + side - width, -top, top + side - height))
    encoded = resize(encoded, (size, size)).clone()
    encoded[3] -= 1
    return unpremultiply_about_grey(encoded)


class Cutouts(Dataset[Tensor]):
    """Straight RGBA files by source, read once and kept as 8-bit while they fit into `cache_bytes`."""

    def __init__(self, files: Sequence[Sequence[Path]], resolution: int, mirror: bool, cache_bytes: int) -> None:
        self.files, self.resolution, self.mirror = files, resolution, mirror
        self.room = cache_bytes
        self.cache: dict[tuple[int, int], Tensor] = {}

    def _read(self, source: int, index: int) -> Tensor:
        if (source, index) in self.cache:
            return self.cache[source, index]
        path = self.files[source][index]
        rgba = read_rgba(path)
        if rgba.shape[1:] != (self.resolution, self.resolution):
            size = f"{rgba.shape[2]} x {rgba.shape[1]}"
            raise ValueError(f"{path}: {size} pixels, expected {self.resolution} x {self.resolution}: frame it first")
        stored = (rgba * 255).round().to(torch.uint8)
        if stored.numel() <= self.room:
            self.room -= stored.numel()
            self.cache[source, index] = stored
        return stored

    def _encoded(self, draw: Draw) -> Tensor:
        rgba = self._read(draw.source, draw.index).float() / 255
        if self.mirror and draw.seed & 1:
            rgba = rgba.flip(2)
        return premultiply_about_grey(rgba)

    def __getitem__(self, draws: list[Draw]) -> Tensor:
        return torch.stack([self._encoded(draw) for draw in draws])


class CutoutData(pl.LightningDataModule):
    """Batches of encoded RGBA (n, 4, R, R) in [-1, 1] for this rank.

    files: straight RGBA pictures of each source. shares: of the global `batch`, by source (default: by count).
    An epoch has `steps_per_epoch` batches. Order and mirroring are functions of (seed, epoch, step).
    """

    def __init__(
        self,
        files: Sequence[Sequence[Path]],
        shares: Sequence[float] | None = None,
        *,
        resolution: int,
        batch: int,
        steps_per_epoch: int,
        seed: int,
        mirror: bool = True,
        workers: int = 0,
        cache_bytes: int = 2**31,
    ) -> None:
        super().__init__()
        if not any(files):
            raise ValueError("no cut-outs to train on: every source is empty")
        shares = [len(source) for source in files] if shares is None else shares
        shares = [share if source else 0.0 for share, source in zip(shares, files, strict=True)]
        self.slots = shares_to_places(shares, batch)
        """Pictures of each source in a global batch."""
        self.dataset = Cutouts(files, resolution, mirror, cache_bytes // max(1, workers))
        self.steps_per_epoch, self.seed, self.workers = steps_per_epoch, seed, workers

    def train_dataloader(self) -> DataLoader[Tensor]:
        sizes = [len(source) for source in self.dataset.files]
        order = MixtureSampler(
            sizes, self.slots, self.steps_per_epoch, self.seed, distributed.rank(), distributed.world()
        )
        # As `sampler` of whole batches, not as `batch_sampler`: Lightning calls set_epoch on a sampler only.
        return LateLoader(
            self.dataset,
            sampler=order,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )
