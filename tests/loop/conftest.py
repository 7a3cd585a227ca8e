"""Makes `tests.loop.…` importable, here and in the processes that the tests start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def _importable_in_children(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def start(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts a toy run in a process of its own: start(run, kind, sleep, how) -> Popen with text output."""
    started = []

    def go(run: Path, kind: str = "inline", sleep: float = 0.0, how: str = "twelve") -> subprocess.Popen:
        command = [
            sys.executable,
            "-m",
            "tests.loop.toy_run",
            str(run),
            str(tmp_path / "calls"),
            kind,
            str(sleep),
            how,
        ]
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
