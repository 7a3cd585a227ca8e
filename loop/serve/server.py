"""Runs the service until it is told to end: one of them for a folder, its queue at work, its own priority low."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from loop.engine.lock import FileLock
from loop.serve.app import build_app
from loop.serve.service import Service
from loop.serve.settings import Settings, check
from stylematte.errors import ConfigError

GRACE = 5
"""Seconds that requests under way have at the end."""


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """ready: gets the address once connections are taken. Raises ConfigError, DataError."""
    check(settings)
    settings.state.mkdir(exist_ok=True)
    lock = FileLock(settings.state / "lock", {"pid": os.getpid(), "host": socket.gethostname()})
    if not lock.acquire(0.5):
        raise ConfigError(f"{settings.runs_dir}: another service is at work there; end it first")
    listener = _listener(settings.host, settings.port)
    try:
        service = Service(settings)
        service.jobs.start()  # before the next line: its children, the runs, inherit its priority
        with suppress(OSError):
            os.nice(settings.niceness)
        config = uvicorn.Config(
            build_app(settings, service),
            log_level="warning",
            access_log=False,
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ready(f"http://{host}:{listener.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        lock.release()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot be listened on ({error.strerror}); give another"
        ) from None
