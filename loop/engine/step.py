"""One step of a run, as data: what `loop.plan` makes and `loop.engine.execute` walks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    id: str
    """Its path under rounds/, for example "01/portraits/label"."""
    stage: str
    """A module of loop.stages, or a dotted module path; it offers `run(ctx) -> Metrics`."""
    round: int
    domain: str | None
    inputs: dict[str, str]
    """Name inside the stage -> step id. Steps come in topological order."""
    config: dict[str, Any]
    """The slice of the configuration this stage reads, in plain types; part of the key."""
    seed: int
    fit: bool
    """True: may run on several devices, through torchrun."""
    version: int

    def folder(self, run_dir: Path) -> Path:
        """Where the finished result lies."""
        return step_folder(run_dir, self.id)


def step_folder(run_dir: Path, step_id: str) -> Path:
    return run_dir / "rounds" / step_id


def kept_folder(run_dir: Path, step_id: str) -> Path:
    """Where finished results with other keys lie, by the first digits of the key, until `stylematte gc`."""
    return run_dir / "kept" / step_id


def log_file(run_dir: Path, step_id: str) -> Path:
    """What the step's processes print."""
    return run_dir / "logs" / f"{step_id.replace('/', '-')}.log"


def launch_folder(scratch: Path) -> Path:
    """The part of scratch that the loop itself uses; the rest is the stage's."""
    return scratch / "launch"
