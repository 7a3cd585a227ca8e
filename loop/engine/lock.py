"""Locks that let one process at a time write a run folder; the kernel holds them, so a killed process leaves none.

POSIX record locks (lockf): forked data workers do not inherit them. Their trap is that closing *any* descriptor of
the file drops the lock of the whole process, so a process never opens a file it has locked a second time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROBE_WAIT = 0.5  # `status` takes a shared lock for an instant; that must not refuse a writer


class RunLocked(ValueError):
    """Another process writes this run folder."""


class FileLock:
    """An exclusive lock on `path` (made if missing), with JSON `content` for people to read."""

    def __init__(self, path: Path, content: dict[str, Any] | None = None) -> None:
        self.path, self.content = path, content or {}
        self._descriptor: int | None = None

    def acquire(self, wait: float) -> bool:
        """Try for `wait` seconds; False when someone else still holds it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        until = time.monotonic() + wait
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= until:
                os.close(descriptor)
                return False
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(self.content).encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


_held: dict[Path, FileLock] = {}


@contextmanager
def one_writer(run_dir: Path) -> Iterator[None]:
    """Hold the run folder's lock. May be nested within one process. Raises RunLocked naming the holder."""
    path = run_dir.resolve() / ".lock"
    if path in _held:
        yield
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, _myself())
    if not lock.acquire(PROBE_WAIT):
        raise RunLocked(f"{run_dir} is in use by {_named(_read(path))}: wait for it, or stop it first")
    _held[path] = lock
    try:
        yield
    finally:
        del _held[path]
        lock.release()


def holder(run_dir: Path) -> dict[str, Any] | None:
    """{pid, host, since, command} of the process that writes `run_dir` now; None when nobody does."""
    path = run_dir.resolve() / ".lock"
    if path in _held:
        return _held[path].content
    return None if _is_free(path) else _read(path)


def wait_until_free(path: Path, wait: float) -> None:
    """Return once nobody holds the lock on `path` (or it does not exist). Raises RunLocked after `wait` seconds."""
    until = time.monotonic() + wait
    while not _is_free(path):
        if time.monotonic() >= until:
            raise RunLocked(f"{path.parent} is still in use by {_named(_read(path))}: stop that process, then go on")
        time.sleep(0.1)


def this_command() -> str:
    """The command line of this process, as one would type it again."""
    program = Path(sys.argv[0])
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and program.suffix == ".py":
        return shlex.join(["python", "-m", spec.name.removesuffix(".__main__"), *sys.argv[1:]])
    found = shutil.which(program.name)
    name = program.name if found and Path(found).resolve() == program.resolve() else str(program)
    return shlex.join([name, *sys.argv[1:]])


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        return _try(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows either when it is held
        return False
    return True


def _myself() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": this_command()}


def _read(path: Path) -> dict[str, Any]:
    unknown = {"pid": "?", "host": "?", "since": "?", "command": "?"}
    try:
        return {**unknown, **json.loads(path.read_text())}
    except (OSError, ValueError):  # just released, or not written yet
        return unknown


def _named(who: dict[str, Any]) -> str:
    return f"process {who['pid']} on {who['host']} (since {who['since']}: {who['command']})"
