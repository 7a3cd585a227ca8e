"""StyleMatte: photo -> alpha. Knows no generator; `stylemattegan` imports only its base modules.

matter = stylematte.load("matter/")             # a folder with matter.safetensors and matter.json
alpha = stylematte.inference.predict(photo, matter)       # PIL, numpy (H, W, 3) or tensor (3, H, W) of any size
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["load", "predict"]


def __getattr__(name: str) -> Any:
    """`load` and `predict` on first use: the import of the package itself stays light."""
    if name not in __all__:
        raise AttributeError(f"module 'stylematte' has no attribute {name!r}")
    module = importlib.import_module("stylematte.inference.predict")
    return module if name == "predict" else module.load  # the module can be called
