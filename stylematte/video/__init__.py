"""Video: clips matted steadily over time, clips with exact alpha made, and how good a clip of mattes is."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["VideoOptions", "matte_frames"]

_HOMES = {"VideoOptions": "stylematte.video.options", "matte_frames": "stylematte.video.steady"}


def __getattr__(name: str) -> Any:
    """On first use: scoring and making clips need none of the pipeline."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stylematte.video' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
