"""Batches of encoded RGBA cut-outs for the generator's fit, in an order fixed by position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stylematte import distributed
from stylematte.imagefile import read_rgba
from stylematte.picturecache import PictureCache
from stylematte.rgba import premultiply_about_grey
from stylematte.sampling import Draw, LateLoader, MixtureSampler, shares_to_slots


class Cutouts(Dataset[Tensor]):
    """Straight RGBA files by source, read once and kept as 8-bit while they fit into `cache_bytes`."""

    def __init__(self, files: Sequence[Sequence[Path]], resolution: int, mirror: bool, cache_bytes: int) -> None:
        self.files, self.mirror = files, mirror
        self.cache = PictureCache(resolution, cache_bytes)

    def _encoded(self, draw: Draw) -> Tensor:
        rgba = self.cache.tensor(self.files[draw.source][draw.index], read_rgba).float() / 255
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
        self.slots = shares_to_slots(shares, batch)
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
