"""provenance.jsonl of a run folder: the commit, versions, GPUs and host that made it; a line for each that differs.

A run that goes on elsewhere, or after an upgrade, has several lines. Nothing reads it back but the report: results are
the same without it. Imports no torch: the GPUs are those that nvidia-smi names.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loop.engine.files import write_atomically
from stylematte.jsonl import read_jsonl

PROVENANCE = "provenance.jsonl"
PACKAGES = ("stylematte", "torch", "torchvision", "lightning", "timm", "kornia", "albumentations", "numpy", "wandb")
ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds for git or nvidia-smi


def record_provenance(run_dir: Path) -> None:
    """Append a line to the run's file, unless the last one says the same. The caller holds the run's lock."""
    path, found = run_dir / PROVENANCE, provenance()
    rows = read_provenance(run_dir)
    if rows and {name: value for name, value in rows[-1].items() if name != "since"} == found:
        return
    rows.append({"since": datetime.now(UTC).isoformat(timespec="seconds"), **found})
    write_atomically(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))


def read_provenance(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of the run's file, the oldest first; none in a run that has no file."""
    return read_jsonl(run_dir / PROVENANCE, growing=True)


def provenance() -> dict[str, Any]:
    """What this process would make results with, as plain JSON values."""
    return {
        "commit": commit(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "python": platform.python_version(),
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "gpus": gpus(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def commit() -> str | None:
    """Of the code: "6a0e71d…", or "6a0e71d… with changes"; of an installed package what pip noted; None if unknown."""
    if (ROOT / ".git").exists():  # not a repository further up, which holds something else
        head = _said("git", "-C", str(ROOT), "rev-parse", "HEAD")
        changed = _said("git", "--no-optional-locks", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
        return f"{head} with changes" if head and changed else head or None
    try:
        noted = json.loads(Distribution.from_name("stylematte").read_text("direct_url.json") or "{}")
        return str(noted["vcs_info"]["commit_id"])
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def gpus() -> list[str]:
    """Name, memory and driver of each, by nvidia-smi; none where there is none."""
    said = _said("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return [line.strip() for line in said.splitlines() if line.strip()]


def _said(*command: str) -> str:
    """What a program prints; "" where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
