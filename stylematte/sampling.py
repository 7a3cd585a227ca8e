"""Order of training samples and seeds of random numbers as functions of position: (seed, epoch, step), never history.

A resumed fit therefore equals the unbroken one, and N processes see the slices of what one process would see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

T = TypeVar("T")


def position_seed(*position: int | str) -> int:
    """A 63-bit seed from a position such as (seed, "latents", epoch, step); equal on every machine and Python."""
    text = "\x1f".join(str(part) for part in position)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_at(*position: int | str) -> torch.Generator:
    """A CPU torch.Generator seeded by position."""
    return torch.Generator().manual_seed(position_seed(*position))


class Draw(NamedTuple):
    """One sample to load: which source, which item of it, and the seed of its augmentation."""

    source: int
    index: int
    seed: int


class MixtureSampler(Sampler[list[Draw]]):
    """Batches of `Draw`s: source s gets `per_batch[s]` slots in every global batch, items without replacement.

    sizes: items in each source. per_batch: slots of each source in the global batch (a source of size 0 needs 0).
    steps: batches in an epoch. A source runs through a permutation of its items, then through the next one, across
    epochs, so every item is seen equally often. Rank r of w takes slots r, r + w, r + 2w … of each global batch.
    Lightning calls `set_epoch` at the start of each epoch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        per_batch: Sequence[int],
        steps: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if sum(per_batch) % world:
            raise ValueError(f"a global batch of {sum(per_batch)} does not divide among {world} processes")
        for size, slots in zip(sizes, per_batch, strict=True):
            if slots and not size:
                raise ValueError("an empty source was given slots in the batch")
        self.sizes, self.per_batch, self.steps = list(sizes), list(per_batch), steps
        self.seed, self.rank, self.world, self.epoch = seed, rank, world, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def _item(self, source: int, position: int, cache: dict[tuple[int, int], np.ndarray]) -> int:
        lap, index = divmod(position, self.sizes[source])
        if (source, lap) not in cache:
            rng = np.random.default_rng(position_seed(self.seed, "order", source, lap))
            cache[source, lap] = rng.permutation(self.sizes[source])
        return int(cache[source, lap][index])

    def __iter__(self) -> Iterator[list[Draw]]:
        cache: dict[tuple[int, int], np.ndarray] = {}
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            batch = []
            for source, slots in enumerate(self.per_batch):
                for slot in range(slots):
                    position = step * slots + slot
                    seed = position_seed(self.seed, "augment", source, position)
                    batch.append(Draw(source, self._item(source, position, cache), seed))
            yield batch[self.rank :: self.world]


def shares_to_slots(shares: Sequence[float], batch: int) -> list[int]:
    """Whole slots in a batch for fractional shares (largest remainder); every positive share gets at least one.

    Raises ValueError if the batch has fewer slots than there are positive shares.
    """
    positive = [i for i, share in enumerate(shares) if share > 0]
    if len(positive) > batch:
        raise ValueError(f"a batch of {batch} cannot hold {len(positive)} sources: raise the batch size")
    total = float(sum(shares))
    exact = [batch * share / total for share in shares]
    slots = [max(int(value), 1) if i in positive else 0 for i, value in enumerate(exact)]
    while sum(slots) > batch:
        slots[max((i for i in positive if slots[i] > 1), key=lambda i: slots[i] - exact[i])] -= 1
    while sum(slots) < batch:
        slots[max(positive, key=lambda i: exact[i] - slots[i])] += 1
    return slots


class LateLoader(DataLoader[T]):
    """A DataLoader that asks its sampler only when the first batch is wanted.

    Resuming, Lightning (2.6) calls `iter` before it tells the sampler the epoch, and not again after; loading
    processes would then prefetch the batches of epoch 0.
    """

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        yield from super().__iter__()
