"""The loop: rounds and stages over a run folder. Importing it never imports torch.

run = loop.run("configs/quickstart.yaml", "run.rounds=1")           # the same call resumes
matter = loop.train_matter("configs/quickstart.yaml")               # a matter alone
generator = loop.fit_generator("configs/quickstart.yaml", cutouts="hats")   # a generator alone
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["fit_generator", "run", "train_matter"]

_HOMES = {"run": "loop.runs.run", "train_matter": "loop.runs.run", "fit_generator": "loop.runs.run"}


def __getattr__(name: str) -> Any:
    """On first use: `loop.plan` and the modules below need nothing of it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'loop' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
