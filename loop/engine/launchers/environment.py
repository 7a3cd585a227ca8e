"""The environment of a stage's own process: its share of cores and GPUs, threads that wait asleep, a safe import path.

What the user has set stays, except the import path's first entry.
"""

from __future__ import annotations

import os
import sysconfig
from glob import glob
from pathlib import Path

import loop
from loop.engine.config import LaunchConfig


def child_environment(launch: LaunchConfig, fit: bool, slot: int | None) -> dict[str, str]:
    """To set on top of ours. slot: of launch.at_once, when the step runs beside others."""
    share: dict[str, str] = {}
    if slot is not None:
        share = machine_share(launch, slot)
    elif fit and launch.devices > 1:
        share = _threads(launch.devices)  # torchrun's own choice would be 1
    return {**share, **waiting(), **import_path(), "PYTHONUNBUFFERED": "1"}


def machine_share(launch: LaunchConfig, slot: int) -> dict[str, str]:
    """A step's part of the cores and GPUs when it runs in `slot` beside others.

    The number of threads depends on the configuration and the machine alone: a resumed fit computes the same bits.
    With fewer GPUs than at_once x devices, slots share them.
    """
    share = _threads(launch.at_once * launch.devices)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(n) for n in range(len(glob("/dev/nvidia[0-9]*")))]
    if gpus and visible != "" and launch.accelerator != "cpu":
        first = slot * launch.devices
        own = dict.fromkeys(gpus[(first + n) % len(gpus)] for n in range(launch.devices))
        share["CUDA_VISIBLE_DEVICES"] = ",".join(own)
    return share


def waiting() -> dict[str, str]:
    """OpenMP threads sleep while they wait for each other, instead of spinning on a core that another process needs.

    torch's wheels carry GNU's libgomp, which reads OMP_WAIT_POLICY; KMP_BLOCKTIME says the same to Intel's and LLVM's,
    in other builds. Measured with benchmarks/openmp_wait.py on two cores that other work kept busy (load 3 to 6), two
    fits of two threads each: 0.8 and 2.4 steps/s a fit when threads spin, 32 and 24 when they sleep; one fit alone:
    12 and 1.9, against 30 and 16. Results are the same bits.
    """
    policy = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    return {name: value for name, value in policy.items() if name not in os.environ}


def import_path() -> dict[str, str]:
    """A child imports the package that its parent runs, not a `loop.py` or a second checkout in the working directory.

    `python -m` would put the working directory first; PYTHONSAFEPATH forbids it, also to torchrun's ranks.
    """
    root = Path(loop.__file__).resolve().parents[1]
    safe = {"PYTHONSAFEPATH": "1"}
    if root == Path(sysconfig.get_path("purelib")).resolve():
        return safe  # found anyway; in front it would hide modules of the standard library that a package backports
    before = os.environ.get("PYTHONPATH")
    return {**safe, "PYTHONPATH": os.pathsep.join([str(root), *([before] if before else [])])}


def _threads(processes: int) -> dict[str, str]:
    """Of OpenMP for one of so many processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // processes))}
