"""Training batches of the matting network: sources mixed in fixed shares, each sample a function of its `Draw`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from stylematte import distributed
from stylematte.data import photometry
from stylematte.data.augment import Augment, Chance, Layers
from stylematte.data.placement import hard_background
from stylematte.data.subject_boxes import Box, subject_box
from stylematte.data.trimap_input import exact_trimap, unknown_everywhere, widened_trimap
from stylematte.data.views import NativeViews, SquareViews, View, Views
from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, read_trimap
from stylematte.rgba import MattingBatch
from stylematte.sampling import Draw, LateLoader, MixtureSampler, position_seed, shares_to_slots

CACHE_BYTES = 1 << 30


class Source(NamedTuple):
    """Pictures that share slots of the batch.

    rows: records with absolute paths: `image`, `alpha` and `foreground` (a labelled photo), `rgba` (a cut-out), or, if
    `by_trimap`, `image`, `trimap` and perhaps `closed_form` (a teacher's alpha). A photo whose alpha is a teacher's,
    and a cut-out, may have `agreement` (a grey picture: how far the alpha may be believed) and `confidence` (a factor
    on its weight).
    share: part of the global batch (shares are relative to their sum). weight: loss weight of each sample. by_trimap:
    whether the trimap is all these pictures teach, whatever else they have. new_background: probability for these
    photos; None: that of all. placed_as: labelled photos (records with `alpha` and perhaps `box`) where whose subjects
    are cut-outs are placed; none: at random. strength: of colour and camera changes, 1 as for all.
    """

    name: str
    rows: Sequence[dict[str, Any]]
    share: float
    weight: float = 1.0
    by_trimap: bool = False
    new_background: float | None = None
    placed_as: Sequence[dict[str, Any]] = ()
    strength: float = 1.0


class MatterDataset(Dataset[MattingBatch]):
    """A list of `Draw`s -> a MattingBatch of as many rows. Equal draws give equal rows, in any process."""

    def __init__(
        self,
        sources: Sequence[Source],
        backgrounds: Sequence[str | os.PathLike[str]],
        size: int,
        new_background: float,
        cache_bytes: int = CACHE_BYTES,
        trimap_shown: float = 0.0,
        photometric: bool = True,
        hard_background: float = 0.0,
        crop_share: float | None = None,
        zoom: float = 1.0,
    ) -> None:
        self.sources, self.backgrounds = list(sources), [Path(path) for path in backgrounds]
        self.size, self.new_background, self.trimap_shown = size, new_background, trimap_shown
        self.hard_background = hard_background
        self.views: Views = SquareViews(size, cache_bytes)
        if crop_share is not None:
            self.views = NativeViews(size, crop_share, cache_bytes, zoom)
        strengths = {source.strength for source in self.sources}
        self.augments = {strength: Augment(photometric, strength) for strength in strengths}
        self.boxes: dict[str, Box | None] = {}

    def __getitem__(self, draws: Sequence[Draw]) -> MattingBatch:
        samples = [self.sample(draw) for draw in draws]
        sources = [self.sources[draw.source] for draw in draws]
        return MattingBatch(
            image=_stack([layers.image() for layers in samples]),
            alpha=_stack([layers.alpha for layers in samples]),
            foreground=_stack([layers.foreground for layers in samples]),
            background=_stack([layers.background for layers in samples]),
            trimap=_stack([exact_trimap(layers) for layers in samples]),
            weight=torch.tensor([self._weight(draw) for draw in draws], dtype=torch.float32),
            known_alpha=torch.tensor([float(not source.by_trimap) for source in sources]),
            taught=torch.tensor([float(self._taught(draw)) for draw in draws]),
            trimap_input=_stack(
                [self._trimap_input(layers, draw) for layers, draw in zip(samples, draws, strict=True)]
            ),
            agreement=_agreement(samples),
        )

    def _trimap_input(self, layers: Layers, draw: Draw) -> np.ndarray:
        """Decided by numbers of its own: whether a trimap is shown changes nothing else about a sample."""
        chance = Chance(position_seed(draw.seed, "guide"))
        return widened_trimap(layers, chance) if chance.under(self.trimap_shown) else unknown_everywhere(layers)

    def _weight(self, draw: Draw) -> float:
        source = self.sources[draw.source]
        return source.weight * float(source.rows[draw.index].get("confidence", 1.0))

    def _taught(self, draw: Draw) -> bool:
        source = self.sources[draw.source]
        return source.by_trimap and bool(source.rows[draw.index].get("closed_form"))

    def sample(self, draw: Draw) -> Layers:
        """One augmented sample, float32."""
        source, chance = self.sources[draw.source], Chance(draw.seed)
        row, augment = source.rows[draw.index], self.augments[source.strength]
        view = self.views.of(row, draw.seed)
        if source.by_trimap:
            trimap = view.get(row["trimap"], read_trimap)[..., 0]
            guess = view.get(row["closed_form"], read_alpha)[..., 0] if row.get("closed_form") else None
            return augment.unlabelled(view.get(row["image"], read_rgb), trimap, guess, chance)
        if row.get("rgba"):
            rgba = view.get(row["rgba"], read_rgba)
            return self._cutout(rgba[..., :3], rgba[..., 3], draw, chance, view, _agreement_of(row, view))
        image = view.get(row["image"], read_rgb)
        alpha = view.get(row["alpha"], read_alpha)[..., 0]
        foreground = view.get(row["foreground"], read_rgb) if row.get("foreground") else image
        if chance.under(self.new_background if source.new_background is None else source.new_background):
            return self._cutout(foreground, alpha, draw, chance, view)
        return augment.photo(image, alpha, foreground, chance, _agreement_of(row, view))

    def _cutout(
        self,
        colour: np.ndarray,
        alpha: np.ndarray,
        draw: Draw,
        chance: Chance,
        view: View,
        agreement: np.ndarray | None = None,
    ) -> Layers:
        source = self.sources[draw.source]
        background = self._background(colour, alpha, draw, chance, view.is_crop)
        # Where whole subjects stand in their frames says nothing of a part's place in its own.
        boxes = self._boxes(source.placed_as, draw) if source.placed_as and view.is_whole else None
        return self.augments[source.strength].cutout(colour, alpha, background, chance, boxes, agreement)

    def _background(
        self, colour: np.ndarray, alpha: np.ndarray, draw: Draw, chance: Chance, is_crop: bool
    ) -> np.ndarray:
        """Whether it is a hard one is decided by numbers of its own: the share of those changes no other sample."""
        hard = Chance(position_seed(draw.seed, "hard"))
        if hard.under(self.hard_background):
            return hard_background(colour, alpha, hard.numpy)
        picture = None
        if self.backgrounds:
            file = self.backgrounds[chance.numpy.integers(len(self.backgrounds))]
            picture = self.views.background(file, draw.seed, is_crop)
        return self.augments[self.sources[draw.source].strength].background(picture, self.size, chance)

    def _boxes(self, rows: Sequence[dict[str, Any]], draw: Draw) -> Iterator[Box]:
        """Boxes of labelled subjects in random order; each is measured when it is first asked for."""
        for index in np.random.default_rng(position_seed(draw.seed, "box")).permutation(len(rows)):
            box = self._box(rows[index])
            if box is not None:
                yield box

    def _box(self, row: dict[str, Any]) -> Box | None:
        """Of a labelled photo's content, without padding."""
        path = str(row["alpha"])
        if path not in self.boxes:
            self.boxes[path] = subject_box(self.views.content(row))
        return self.boxes[path]


class MatterData(LightningDataModule):
    """Training batches for the matter, `batch` rows over all processes, `steps_per_epoch` batches an epoch.

    The trainer must be made with `use_distributed_sampler=False`: the sampler already gives each rank its rows.
    new_background: probability that a photo's foreground is put on one of `backgrounds` (cut-outs always are; plain
    colours if the list is empty). trimap_shown: probability that a sample's `trimap_input` is a trimap.
    hard_background: probability that a new background has the subject's own colour.
    photometry_on_device: colours and camera are changed where the network is (`photometry`), not by the loading
    processes. crop_share: None: pictures are squares of `size`; else of any size, and this share of the samples are
    crops at native scale, the others parts that are up to `zoom` times smaller than the whole (`views`). Raises
    DataError if a source with a share has no usable rows.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        backgrounds: Sequence[str | os.PathLike[str]],
        size: int,
        batch: int,
        steps_per_epoch: int,
        workers: int = 0,
        seed: int = 0,
        new_background: float = 0.5,
        cache_bytes: int = CACHE_BYTES,
        trimap_shown: float = 0.0,
        photometry_on_device: bool = False,
        hard_background: float = 0.0,
        crop_share: float | None = None,
        zoom: float = 1.0,
    ) -> None:
        super().__init__()
        self.sources = [source for source in sources if source.share > 0]
        for source in self.sources:
            _check(source)
        if not self.sources:
            raise DataError("no source has a share of the batch: there is nothing to train on")
        shares = [source.share for source in self.sources]
        self.slots = shares_to_slots(shares, batch)
        # Slots are whole numbers, shares are not: the samples' weights make up for the rounding.
        exact = [share / sum(shares) * batch / slots for share, slots in zip(shares, self.slots, strict=True)]
        self.sources = [s._replace(weight=s.weight * by) for s, by in zip(self.sources, exact, strict=True)]
        self.backgrounds, self.size, self.new_background = list(backgrounds), size, new_background
        self.steps, self.workers, self.seed, self.trimap_shown = steps_per_epoch, workers, seed, trimap_shown
        self.batch, self.photometry_on_device, self.hard_background = batch, photometry_on_device, hard_background
        self.crop_share, self.zoom = crop_share, zoom
        self.cache_bytes = cache_bytes // max(1, workers)  # each loading process keeps its own

    def train_dataloader(self) -> DataLoader[MattingBatch]:
        """Whole batches from a sampler of batches.

        The sampler is given as `sampler` with `batch_size=None`, not as `batch_sampler`: Lightning (2.6) calls
        `set_epoch` on `loader.sampler` and on `loader.batch_sampler.sampler`, never on `loader.batch_sampler`.
        """
        sizes = [len(source.rows) for source in self.sources]
        sampler = MixtureSampler(sizes, self.slots, self.steps, self.seed, distributed.rank(), distributed.world())
        dataset = MatterDataset(
            self.sources,
            self.backgrounds,
            self.size,
            self.new_background,
            self.cache_bytes,
            self.trimap_shown,
            not self.photometry_on_device,
            self.hard_background,
            self.crop_share,
            self.zoom,
        )
        return LateLoader(
            dataset,
            sampler=sampler,
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_as_it_is,
            persistent_workers=self.workers > 0,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: MattingBatch, dataloader_idx: int) -> MattingBatch:
        """Lightning calls it on the device, just before the training step."""
        if not self.photometry_on_device:
            return batch
        strengths = [s.strength for s, slots in zip(self.sources, self.slots, strict=True) for _ in range(slots)]
        drawn = photometry.draw(self.seed, self.trainer.global_step, self.batch, torch.tensor(strengths))
        return photometry.apply(batch, photometry.Photometry(*map(distributed.rank_slice, drawn)))


def _check(source: Source) -> None:
    if not source.rows:
        raise DataError(f"source '{source.name}' has a share of the batch but no pictures: add some or set it to 0")
    for row in source.rows:
        if source.by_trimap:
            if not (row.get("image") and row.get("trimap")):
                raise DataError(f"source '{source.name}': picture {row.get('id', row)} has no trimap and cannot train")
        elif not row.get("rgba") and not (row.get("image") and row.get("alpha")):
            raise DataError(f"source '{source.name}': picture {row.get('id', row)} has no alpha and cannot train")


def _stack(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """(H, W, C) float32 arrays -> (N, C, H, W). OpenCV takes colours apart several times as fast as NumPy does."""
    height, width, channels = pictures[0].shape
    planes = np.empty((len(pictures), channels, height, width), np.float32)
    for picture, own in zip(pictures, planes, strict=True):
        cv2.split(np.ascontiguousarray(picture, dtype=np.float32), list(own))
    return torch.from_numpy(planes)


def _agreement_of(row: Mapping[str, Any], view: View) -> np.ndarray | None:
    """(h, w) of what the row's alpha is believed, if anything is said of it."""
    return view.get(row["agreement"], read_alpha)[..., 0] if row.get("agreement") else None


def _agreement(samples: Sequence[Layers]) -> torch.Tensor:
    """(N, 1, H, W), or ones (N, 1, 1, 1) where every alpha of the batch may be believed."""
    if all(layers.agreement is None for layers in samples):
        return torch.ones(len(samples), 1, 1, 1)
    return _stack([np.ones_like(each.alpha) if each.agreement is None else each.agreement for each in samples])


def _as_it_is(batch: MattingBatch) -> MattingBatch:
    return batch


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
