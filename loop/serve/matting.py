"""Mattes uploaded photos with the accepted matter, in one process of its own that is started when it is first asked.

One photo at a time. A photo that takes too long, or that ends the process, costs that process and nothing else. After
some minutes without a photo the process ends, and its memory is free.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from stylematte.errors import UserError

Output = Literal["rgba", "alpha"]
IDLE = 600.0  # seconds


class Busy(RuntimeError):
    """Others wait already."""


class CannotMatte(UserError):
    """The photo or the matter cannot be used, or it took too long; one line."""


class MatteProcess:
    """Safe to call from several threads; at most `most` wait at a time."""

    def __init__(self, seconds: float, max_pixels: int, most: int = 8) -> None:
        self.seconds, self.max_pixels, self.most = seconds, max_pixels, most
        self.turn, self.counted = Lock(), Lock()
        self.waiting = 0
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None

    def matte(self, matter: Path, photo: bytes, output: Output) -> bytes:
        """PNG. matter: a folder of weights. Raises Busy, CannotMatte."""
        with self.counted:
            if self.waiting >= self.most:
                raise Busy(f"{self.most} photos wait already; try again soon")
            self.waiting += 1
        try:
            with self.turn:
                return self._ask(matter, photo, output)
        finally:
            with self.counted:
                self.waiting -= 1

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _ask(self, matter: Path, photo: bytes, output: Output) -> bytes:
        for _ in range(2):  # it may have ended for want of photos just now
            pipe = self._started()
            try:
                pipe.send((str(matter), photo, output, self.max_pixels))
                if not pipe.poll(self.seconds):
                    self.close()
                    raise CannotMatte(f"the photo took more than {self.seconds:g} s; send a smaller one")
                wrong, answer = pipe.recv()
            except (OSError, EOFError):
                self.close()
                continue
            if wrong:
                raise CannotMatte(wrong)
            png: bytes = answer
            return png
        raise CannotMatte("matting this photo ended its process (memory?); send a smaller one")

    def _started(self) -> Connection:
        if self.process is None or not self.process.is_alive() or self.pipe is None:
            self.close()
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_work, args=(theirs,), daemon=True, name="matting")
            self.process.start()
            theirs.close()
        return self.pipe


def _work(pipe: Connection) -> None:
    """The process: answers photos until nobody sends one for a while, or the service is gone."""
    loaded: dict[tuple[str, int], Any] = {}
    try:
        while pipe.poll(IDLE):
            try:
                pipe.send(("", _one(loaded, *pipe.recv())))
            except (UserError, ValueError, MemoryError) as error:
                pipe.send(((str(error).splitlines() or [type(error).__name__])[0], b""))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _one(loaded: dict[tuple[str, int], Any], folder: str, photo: bytes, output: Output, max_pixels: int) -> bytes:
    from stylematte.imagecode import decode, header
    from stylematte.imagefile import on_white, to_png
    from stylematte.inference.matter import load

    size = header("the photo", photo)
    if size.width * size.height > max_pixels:
        raise CannotMatte(f"the photo has {size.width} x {size.height} pixels, at most {max_pixels} are taken")
    key = folder, Path(folder, "matter.safetensors").stat().st_mtime_ns
    if key not in loaded:
        loaded.clear()
        loaded[key] = load(folder, "auto")
    image = on_white(decode("the photo", photo))
    return to_png(loaded[key](image) if output == "alpha" else loaded[key].cutout(image))
