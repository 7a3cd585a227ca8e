"""Replays a run's offline files by `wandb sync` to a server on loopback, and says what had to arrive.

The client is the one installed, or that in a folder which `pip install --target` filled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from loop.tracking.curves import number
from loop.tracking.entries import FOLDER, read_entries
from loop.tracking.fit_loggers import PICTURES
from loop.tracking.loop_id import loop_id
from stylematte.jsonl import read_jsonl
from tests.loop.tracking.offline_files import offline_runs
from tests.loop.tracking.wandb_server import RecordingServer

ROOT = Path(__file__).parents[3]
ADDED = {"_step", "_runtime", "_timestamp", "_wandb"}
"""What W&B adds to each row."""


def environment(client: Path | None, **more: str) -> dict[str, str]:
    """Of a child process with the code of this tree and that client."""
    paths = [*([str(client)] if client else []), str(ROOT)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore", **more}


def sync(run_dir: Path, server: RecordingServer, client: Path | None = None) -> None:
    """What `run` tells its user to type."""
    folders = sorted(map(str, (run_dir / "wandb").glob("offline-run-*")))
    own = server.environment() | {"WANDB_DIR": str(run_dir)}
    words = [sys.executable, "-P", "-m", "wandb", "sync", *folders]
    done = subprocess.run(
        words, env=environment(client, **own), cwd=run_dir, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def recorded(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """W&B's id -> the rows of the run's own record: of each fit a row a step, of the loop a row a round."""
    name, found = loop_id(run_dir), dict[str, list[dict[str, Any]]]()
    for path in sorted((run_dir / FOLDER).rglob("*.jsonl")):
        step = path.relative_to(run_dir / FOLDER).with_suffix("").as_posix()
        if step not in ("rounds", "alerts"):
            found[f"{name}-{step.replace('/', '-')}"] = _by_step(read_jsonl(path))
    if (run_dir / FOLDER / "rounds.jsonl").is_file():
        found[name] = [_finite(entry.row()) for entry in read_entries(run_dir)]
    return found


def arrived(server: RecordingServer) -> dict[str, list[dict[str, Any]]]:
    """The numbers and texts that the server has, in the same form."""
    return {name: [_plain(row) for row in run.rows] for name, run in server.runs.items()}


def in_files(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """The same of the offline files, read with W&B's own messages; each id has one folder."""
    return {name: [_plain(row) for row in run.rows] for name, (run,) in offline_runs(run_dir).items()}


def _by_step(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of equal steps are one in W&B."""
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        merged.setdefault(row["step"], {}).update({**_finite(row), "trainer/global_step": row["step"]})
    return list(merged.values())


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: value for k, value in row.items() if not k.startswith(PICTURES) and number(value) is not None}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Without what W&B adds, pictures and tables, and without the words that W&B has for NaN and infinity."""
    return {
        name: value
        for name, value in row.items()
        if name not in ADDED and isinstance(value, (int, float, str)) and value not in ("NaN", "Infinity", "-Infinity")
    }
