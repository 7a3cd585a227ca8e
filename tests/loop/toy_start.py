"""Starts toy runs (`tests.loop.toy_run`) in processes of their own, and ends them with the test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def toy_runs(calls: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Gives start(run, kind, sleep, how) -> Popen with text output; `calls` notes what the stages did."""
    started: list[subprocess.Popen] = []

    def start(run: Path, kind: str = "inline", sleep: float = 0.0, how: str = "twelve") -> subprocess.Popen:
        words = [str(run), str(calls), kind, str(sleep), how]
        command = [sys.executable, "-m", "tests.loop.toy_run", *words]
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.communicate()
