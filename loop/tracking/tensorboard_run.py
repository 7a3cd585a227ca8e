"""TensorBoard events of a fit or of the loop, written without torch, and never an error: one warning and the end of it.

Events lie in RUN/tensorboard/NAME. Whoever opens them again writes them from their beginning, so a resumed fit has
every step once.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loop.tracking.curves import number
from loop.tracking.wandb_run import one_line

_log = logging.getLogger(__name__)

FOLDER = "tensorboard"


class TensorboardRun:
    """name: of the fit's step, or "loop". Opened at the first row; rows are handed to a thread that writes them."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self.folder, self.broken = run_dir / FOLDER / name, False
        self._writer: Any = None

    def log(self, step: int, values: Mapping[str, Any], pictures: Mapping[str, Path]) -> None:
        """Numbers as scalars, PNG files as images; texts are left out."""
        if self.broken:
            return
        try:
            self._write(step, values, pictures)
        except Exception as error:
            self.broken = True
            _log.warning(f"TensorBoard mirror stopped: {one_line(error)}; everything else goes on")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, values: Mapping[str, Any], pictures: Mapping[str, Path]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if self._writer is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._writer = EventFileWriter(str(self.folder))
        plain = {name: number(value) for name, value in values.items()}
        found = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in plain.items()
            if isinstance(value, (int, float)) and name != "step"
        ]
        for name, path in pictures.items():
            image = Summary.Image(encoded_image_string=path.read_bytes(), colorspace=3)
            found.append(Summary.Value(tag=name, image=image))
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=found)))
