"""StyleMatte: photo -> alpha. Knows no generator; `stylemattegan` imports only its base modules.

matter = stylematte.load("runs/portraits")   # a run, an export, or a folder with matter.safetensors and matter.json
alpha = matter("photo.jpg")                  # a path, PIL, numpy (H, W, 3) or tensor (3, H, W), of any size
cutout = matter.cutout("photo.jpg")          # straight RGBA
stylematte.score("mattes", "truth").mean     # files, folders or pictures
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["load", "score"]

_HOMES = {"load": "stylematte.inference.matter", "score": "stylematte.evaluate.score"}


def __getattr__(name: str) -> Any:
    """On first use: the import of the package itself stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stylematte' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
