"""What the matter's network is asked for and cannot do, or this machine cannot: one line each with the cure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from stylematte.config import MatterConfig, MatterFitConfig


def matter_switches(matter: MatterConfig) -> Iterator[str]:
    compiler = os.environ.get("CXX", "g++")  # what torch.compile calls
    if matter.compile and shutil.which(compiler) is None:
        yield f"matter.compile=True: no C++ compiler ({compiler} not found): install g++ or set CXX, or false"
    if matter.variant.value == "detail":
        return
    asked = {f"matter.{key}": getattr(matter, key) for key in ("gradient_checkpointing", "channels_last")}
    for name in ("first", "later"):
        fit: MatterFitConfig = getattr(matter, name)
        asked |= {
            f"matter.{name}.trimap_shown": fit.trimap_shown,
            f"matter.{name}.losses.semantic": fit.losses.semantic,
        }
    for key, value in asked.items():
        if value:
            yield f"{key}={value}: the {matter.variant.value} network cannot do that; set matter.variant=detail"
