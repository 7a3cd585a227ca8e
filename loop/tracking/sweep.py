"""A run as a trial of a W&B sweep: `wandb agent` starts `stylematte run` with key=value words and says in the
environment which trial it is.

The loop run is the trial; runs of fits stay in its group and out of the sweep. Each trial has a folder of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
"""What the agent sets, and `wandb.init` heeds."""


def trial() -> str | None:
    """W&B's id of the trial that this process is, or None outside of a sweep."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


@contextmanager
def out_of_the_sweep() -> Iterator[None]:
    """Within, `wandb.init` opens a run that is no trial."""
    held = {name: os.environ.pop(name) for name in NAMES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
