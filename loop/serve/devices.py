"""The devices of this node that the queue shares among its runs, found without importing torch."""

from __future__ import annotations

import os
from pathlib import Path

from stylematte.errors import ConfigError

CPU = "cpu"
GPUS = Path("/proc/driver/nvidia/gpus")


def devices(asked: str) -> tuple[str, ...]:
    """asked: auto, cpu, or numbers of GPUs such as 0,1. Raises ConfigError."""
    if asked == "auto":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        found = visible.split(",") if visible is not None else [str(n) for n in range(_count())]
        return tuple(name.strip() for name in found if name.strip()) or (CPU,)
    names = tuple(name.strip() for name in asked.split(","))
    if names != (CPU,) and not all(name.isascii() and name.isdigit() for name in names):
        raise ConfigError(f"--devices {asked}: expected auto, cpu, or numbers of GPUs such as 0,1")
    if len(set(names)) < len(names):
        raise ConfigError(f"--devices {asked}: names one twice")
    return names


def _count() -> int:
    return len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
