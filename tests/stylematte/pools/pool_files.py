"""Small pools for tests."""

import torch

from stylematte.pools.place import place
from stylematte.pools.writer import Entry, rgba_entry, shard_name, write_shard


def picture(seed: int, size: int = 24) -> torch.Tensor:
    """A blurred random picture under a disc of alpha."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 5, generator=generator), (size, size), mode="bilinear")
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    alpha = ((size / 3 - ((y - size / 2) ** 2 + (x - size / 2) ** 2).sqrt()) / 2 + 0.5).clamp(0, 1)
    return torch.cat([colour[0], alpha[None]])


def entry(number: int, look: int | None = None, **more) -> Entry:
    record = {"seed": number, "kept": True, "licence": "CC0-1.0", "generator": "test", **more}
    return rgba_entry(f"{number:05d}", record, picture(number if look is None else look))


def write(where: str, entries: list[Entry], per_shard: int = 4) -> None:
    for number, start in enumerate(range(0, len(entries), per_shard)):
        write_shard(place(where), shard_name(number), entries[start : start + per_shard])
