"""Reading ahead and writing behind the network, with a bound on the pixels that are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from stylematte.errors import BadPicture
from stylematte.imagecode import upright_size
from stylematte.inference.photos import NamedPhoto

MOST_PIXELS = 48_000_000
"""Of all photos that are read, predicted or written at a time; a larger one is alone. Each takes 3 bytes, while its
photo is written 4 more; 20 where the network sees all of it, or where the file has 16 bits."""
STAGES = 3
"""That groups are in at a time: read, predicted, written."""
WINDOW = 64
"""Photos whose sizes are looked at in advance, so that those of one size go through the network together."""
R = TypeVar("R")
W = TypeVar("W")
D = TypeVar("D")


class Group(NamedTuple):
    photos: list[NamedPhoto]
    pixels: int


def grouped(photos: Sequence[NamedPhoto], batch: int) -> Iterator[Group]:
    """Up to `batch` photos of one size together, as many as leave room for a group in each stage; headers alone are
    read for it."""
    for first in range(0, len(photos), WINDOW):
        by_size: dict[tuple[int, int] | None, list[NamedPhoto]] = {}
        for photo in photos[first : first + WINDOW]:
            try:
                size = upright_size(photo.path)
            except BadPicture:
                size = None  # reading it will say what is wrong
            by_size.setdefault(size, []).append(photo)
        for size, found in by_size.items():
            pixels = 0 if size is None else size[0] * size[1]
            most = max(1, min(batch, MOST_PIXELS // STAGES // max(1, pixels)))
            for start in range(0, len(found), most):
                part = found[start : start + most]
                yield Group(part, pixels * len(part))


def pipelined(
    groups: Iterable[Group], read: Callable[[Group], R], work: Callable[[R], W], write: Callable[[W], Sequence[D]]
) -> Iterator[D]:
    """write(work(read(group))) of each group, in order. A thread reads the next group and another writes the previous
    one while `work` is done here, as far as MOST_PIXELS allows."""
    ahead: Future[R] | None = None
    behind: Future[Sequence[D]] | None = None
    held = 0  # pixels that are being written
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        for group, following in _with_next(groups):
            if behind is not None and held + group.pixels > MOST_PIXELS:
                yield from behind.result()
                behind, held = None, 0
            seen = (ahead or reader.submit(read, group)).result()
            ahead = None
            if following is not None and held + group.pixels + following.pixels <= MOST_PIXELS:
                ahead = reader.submit(read, following)
            made = work(seen)
            del seen
            if behind is not None:
                yield from behind.result()
            behind, held = writer.submit(write, made), group.pixels
            del made
        if behind is not None:
            yield from behind.result()


def _with_next(groups: Iterable[Group]) -> Iterator[tuple[Group, Group | None]]:
    source = iter(groups)
    current = next(source, None)
    while current is not None:
        following = next(source, None)
        yield current, following
        current = following
