"""`python -m loop.engine.fork_server FD`: a process that has imported the stages, and forks one worker per request.

A worker that is started afresh spends 4.4 CPU seconds on importing torch and Lightning; a fork of this process spends
none. This process never computes: it imports, forks and waits, so a worker has the state of a fresh process after its
imports. It ends, and its workers with it, when the other end of the socket FD is closed, which the kernel does when the
orchestrator dies. `loop.engine.launchers.forked` is that other end.

A request is JSON {spec, stage, log} with the write end of a pipe: the worker writes "pid N" into it, and when it has
ended the server writes "code N".
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from operator import attrgetter
from typing import Any

from loop.engine import orphans, worker

LOOK = 0.05  # seconds between looks at the workers
LARGEST = 1 << 16  # bytes of a request


class ForkServer:
    """`serve` returns twice: None in this process, when nobody asks any more, and a request in each worker."""

    def __init__(self, asked: socket.socket) -> None:
        self.asked, self.parent = asked, os.getppid()
        self.pipes: dict[int, int] = {}
        """Of each worker, by its pid."""

    def serve(self) -> dict[str, Any] | None:
        while os.getppid() == self.parent:
            if select.select([self.asked], [], [], LOOK if self.pipes else 1.0)[0]:
                data, pipes, _, _ = socket.recv_fds(self.asked, LARGEST, 1)
                if not data:
                    break
                request: dict[str, Any] = json.loads(data)
                if self._forked(request, pipes[0]):
                    return request
            self._reap()
        for pid in self.pipes:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        return None

    def _forked(self, request: dict[str, Any], pipe: int) -> bool:
        """True in the worker."""
        preload(request["stage"])
        server = os.getpid()
        if os.getppid() != self.parent:
            os._exit(1)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            orphans.die_with_parent(server)()
            _write(pipe, f"pid {os.getpid()}\n")  # from now on it can be killed as a group
            for inherited in (self.asked.detach(), pipe, *self.pipes.values()):
                os.close(inherited)
            return True
        self.pipes[pid] = pipe
        return False

    def _reap(self) -> None:
        for pid, pipe in list(self.pipes.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _write(pipe, f"code {os.waitstatus_to_exitcode(status)}\n")
                os.close(pipe)
                del self.pipes[pid]


def preload(stage: str) -> None:
    """Import a stage of ours. One of somebody else may do anything at import: its worker does it."""
    if "." not in stage:
        with suppress(Exception):  # the worker comes upon the same, and says it
            importlib.import_module(f"loop.stages.{stage}")
    gc.freeze()  # a worker's collector leaves what is shared alone


def as_fresh(log: str) -> None:
    """In a worker: its own output, and generators of random numbers that no other worker shares."""
    sys.stdout.flush()
    sys.stderr.flush()
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for standard in (1, 2):
        os.dup2(opened, standard)
    os.close(opened)
    random.seed()
    for library, seed in (("numpy", "random.seed"), ("torch", "seed")):
        if library in sys.modules:
            attrgetter(seed)(sys.modules[library])()


def _write(pipe: int, text: str) -> None:
    with suppress(BrokenPipeError):  # who asked no longer listens
        os.write(pipe, text.encode())


def leave(code: int) -> None:
    """End as an interpreter does, but without taking a thousand modules apart, which takes a second and a half."""
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its processes
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    request = ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve()
    if request is not None:
        as_fresh(request["log"])
        leave(worker.main([request["spec"]]))
