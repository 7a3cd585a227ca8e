"""Starts workers as forks of a process that has imported them already; there is one such server per environment.

Servers begin with the first worker and end with the run (`fork_servers`). They are an economy and no need: where there
is none (another system than Linux, a GPU, which a forked process cannot share; a server that died), `forked` gives None
and the caller starts a process as ever.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path

from loop.engine import orphans

PATIENCE = 120.0  # seconds for a server to import and fork
POLL = 0.05  # seconds
GONE = 10.0  # seconds for the kernel to end a worker whose server died


class Forked:
    """A worker as `subprocess.Popen` shows one: pid, returncode, poll(), wait()."""

    def __init__(self, pid: int, pipe: int, read: bytes) -> None:
        """read: what came out of the pipe behind the pid."""
        self.pid, self._pipe, self._read = pid, pipe, read
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and not self._read.endswith(b"\n") and select.select([self._pipe], [], [], 0)[0]:
            data = os.read(self._pipe, 64)
            self._read += data
            if not data:
                self._end(-signal.SIGKILL)
        if self.returncode is None and self._read.endswith(b"\n"):
            self._end(int(self._read.split()[1]))
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(POLL)
        assert self.returncode is not None
        return self.returncode

    def _end(self, code: int) -> None:
        """Without a code the server has died, and the kernel kills what it forked: wait for that."""
        os.close(self._pipe)
        until = time.monotonic() + GONE
        while not self._read and orphans.is_alive(self.pid) and time.monotonic() < until:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(POLL)
        self.returncode = code


class Server:
    """The running `loop.engine.fork_server` of one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.asked, self.turn = ours, threading.Lock()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loop.engine.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, stage: str, spec: Path, log: Path) -> Forked | None:
        """None if the server is dead, or too slow, which ends it."""
        request = json.dumps({"spec": str(spec), "stage": stage, "log": str(log)}).encode()
        read, write = os.pipe()
        try:
            with self.turn:
                socket.send_fds(self.asked, [request], [write])
        except OSError:
            os.close(read)
            return None
        finally:
            os.close(write)
        line = os.read(read, 64).decode() if select.select([read], [], [], PATIENCE)[0] else ""
        if line.startswith("pid "):
            first, _, rest = line.partition("\n")
            return Forked(int(first.split()[1]), read, rest.encode())
        os.close(read)
        self.end()
        return None

    def end(self) -> None:
        """Its workers end with it."""
        self.asked.close()
        self.process.kill()
        self.process.wait()


_servers: dict[frozenset[tuple[str, str]], Server] = {}
_lock = threading.Lock()
_runs = 0


@contextmanager
def fork_servers() -> Iterator[None]:
    """Inside, `forked` may keep servers; none outlives the outermost use."""
    global _runs
    with _lock:
        _runs += 1
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            ended = list(_servers.values()) if _runs == 0 else []
            if _runs == 0:
                _servers.clear()
        for server in ended:
            server.end()


def forked(stage: str, spec: Path, log: Path, environment: Mapping[str, str]) -> Forked | None:
    """A worker for `spec` by the server of this environment; None: start it in another way."""
    if sys.platform != "linux" or glob("/dev/nvidia[0-9]*") or _runs == 0:
        return None
    with _lock:
        key = frozenset(environment.items())
        if key not in _servers:
            _servers[key] = Server(environment)
        server = _servers[key]
    return server.fork(stage, spec, log)
