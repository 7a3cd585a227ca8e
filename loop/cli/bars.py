"""Progress bars: a library function is given `bar("matting")` as its `track`, and hands what it works through to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sized
from typing import TypeVar

T = TypeVar("T")
FEW = 4


def bar(doing: str, total: int | None = None) -> Callable[[Iterable[T]], Iterable[T]]:
    """What passes items through, with a bar on a terminal if they are many. total: for items without a length."""

    def track(items: Iterable[T]) -> Iterable[T]:
        return shown(items, doing, len(items) if isinstance(items, Sized) else total or 0)

    return track


def shown(items: Iterable[T], doing: str, total: int) -> Iterable[T]:
    """`items`, `total` of them, with the bar."""
    from rich.console import Console
    from rich.progress import track

    quiet = total < FEW or not sys.stderr.isatty()
    return track(items, doing, total=total, transient=True, disable=quiet, console=Console(stderr=True))
