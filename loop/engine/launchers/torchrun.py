"""Runs a fit on several devices of this machine: one rank per device, started by torchrun."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

from loop.engine.launchers.launcher import Job
from loop.engine.launchers.process import ProcessLauncher


class TorchrunLauncher(ProcessLauncher):
    """torchrun's agent is the process; the ranks below it are found by the pid files they write."""

    def __init__(self, devices: int) -> None:
        super().__init__()
        self.devices = devices

    def command(self, spec: Path) -> list[str]:
        agent = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(self.devices)]
        return [sys.executable, "-m", *agent, "-m", "loop.engine.worker", str(spec)]

    def start(self, job: Job, attempt: int) -> None:
        # On SIGTERM the agent gives its ranks 30 s unless told otherwise.
        patient = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(job.stop_grace))}
        super().start(replace(job, environment={**job.environment, **patient}), attempt)
