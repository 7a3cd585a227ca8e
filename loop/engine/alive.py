"""What a long stage does between two pieces of work: a sign of life, a look at whether it was asked to stop, a bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from loop.engine.heartbeat import beat
from loop.engine.signals import stop_point
from loop.engine.stage import Context

T = TypeVar("T")


def heartbeat(ctx: Context) -> None:
    """Raises Stopped if a stop was asked for: a stage without a checkpoint begins again next time."""
    beat(ctx.scratch)
    stop_point(f"{ctx.step_id} stopped")


def watched(ctx: Context, pieces: Sequence[T]) -> Iterator[T]:
    """`pieces` with a breath before each, and on a terminal a bar that vanishes at the end."""
    quiet = not sys.stderr.isatty() or len(pieces) < 4
    for piece in track(pieces, f"  {ctx.step_id}", console=Console(stderr=True), transient=True, disable=quiet):
        heartbeat(ctx)
        yield piece
