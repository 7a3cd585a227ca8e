"""How steps are run: in which processes, on which devices, and how long a silent one is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Launch(str, Enum):
    """Where a stage's process runs."""

    inline = "inline"
    torchrun = "torchrun"


def _at_least(default: Any, low: float) -> Any:
    return field(default=default, metadata={"range": (low, None)})  # as stylematte.fields reads it


@dataclass
class LaunchConfig:
    kind: Launch = Launch.inline
    """inline: in the orchestrator's own process, but for fits beside others. torchrun: each stage in processes of its
    own, fits on `devices` of them."""
    devices: int = _at_least(1, 1)
    """Processes of each fit."""
    at_once: int = _at_least(1, 1)
    """Steps that may run at the same time when none needs the other, such as the generator fits of two domains. They
    share the CPU cores and the GPUs. With kind=inline only fits run apart, each in a process of its own."""
    accelerator: str = "auto"
    """auto, cpu or gpu."""
    precision: str = "32-true"
    """Of the matter's fits: 32-true or bf16-mixed. Of the generators': generator.fit.precision."""
    heartbeat_timeout: float = _at_least(900.0, 1)
    """Seconds without a heartbeat after which a fit is stopped and tried again."""
    stop_grace: float = _at_least(120.0, 0)
    """Seconds a fit may take to reach its next checkpoint after a stop signal."""
    retries: int = _at_least(2, 0)
    """How often a fit that died or fell silent is tried again; each try goes on from its last checkpoint."""
    ask_above: float = _at_least(180.0, 0)
    """`run` asks before it makes results again that took more seconds than this together; --redo is a yes."""
