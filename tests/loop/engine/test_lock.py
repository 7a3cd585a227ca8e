"""One writer: the second is refused with a name, the kernel frees the lock, children do not hold it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from loop.engine.lock import FileLock, RunLocked, holder, one_writer, wait_until_free

HOLD = (
    "import sys, time; from pathlib import Path; from loop.engine.lock import one_writer\n"
    "with one_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(30)"
)


@pytest.fixture
def other(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_learns_who(tmp_path, other):
    with pytest.raises(RunLocked, match=f"in use by process {other.pid} on ") as caught, one_writer(tmp_path):
        pass
    assert "\n" not in str(caught.value)
    assert holder(tmp_path)["pid"] == other.pid


def test_kill_9_frees_it(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder(tmp_path) is None
    with one_writer(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()
    assert holder(tmp_path) is None


def test_asking_who_holds_it_does_not_drop_our_own_lock(tmp_path):
    with one_writer(tmp_path), one_writer(tmp_path):
        holder(tmp_path)
        refused = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, text=True)
        assert f"process {os.getpid()}" in refused.stderr


def test_a_forked_child_does_not_keep_it(tmp_path):
    with one_writer(tmp_path):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    try:
        assert FileLock(tmp_path / ".lock").acquire(0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_waiting_for_a_predecessor(tmp_path, other):
    with pytest.raises(RunLocked, match="stop that process"):
        wait_until_free(tmp_path / ".lock", 0.2)
    other.kill()
    wait_until_free(tmp_path / ".lock", 5)
    wait_until_free(tmp_path / "no such file", 0)
