"""Work spread over processes: the same results as in one, and no worker outlives a killed parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stylematte.errors import UserError
from stylematte.workers import spread

PARENT = """
import sys
from tests.stylematte.test_workers import sleep_long
from stylematte.workers import spread
if __name__ == "__main__":
    list(spread(sleep_long, [sys.argv[1] + "/a", sys.argv[1] + "/b"], 2))
"""


def sleep_long(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    time.sleep(600)


def die(item: int) -> int:
    os._exit(item)


def is_alive(pid: int) -> bool:
    """A zombie that nobody has asked for counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between opening and reading
        return False


def wait_for(condition, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def test_as_many_results_as_items_whatever_the_workers() -> None:
    alone, apart = spread(abs, [-1, 2, -3]), spread(abs, [-1, 2, -3], 2)
    assert len(alone) == len(apart) == 3
    assert dict(alone) == dict(apart) == {-1: 1, 2: 2, -3: 3}


def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(UserError, match="a worker process ended by itself"):
        list(spread(die, [1, 2], 2))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_a_killed_parent_leaves_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": str(root)})
    files = [tmp_path / "a", tmp_path / "b"]
    assert wait_for(lambda: all(file.is_file() and file.read_text() for file in files))
    workers = [int(file.read_text()) for file in files]
    assert all(map(is_alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_for(lambda: not any(map(is_alive, workers)))
