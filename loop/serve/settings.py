"""What `stylematte serve` is started with, checked: where the runs are, who may connect, who may write, the limits."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from stylematte.errors import ConfigError, DataError

STATE = ".serve"
"""The service's own folder below RUNS_DIR: its queue and the logs of its jobs."""
LEAST_TOKEN = 8


@dataclass(frozen=True)
class Settings:
    runs_dir: Path
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    """Who has it may write; None: nobody may."""
    devices: tuple[str, ...] = ("cpu",)
    """Of this node, that the queue's jobs share: numbers of GPUs, or cpu, which one job has at a time."""
    configs: Path | None = None
    """A folder of the user's own configurations, beside the shipped ones."""
    max_body: int = 1 << 20
    """Bytes of a request's body, but for a photo's."""
    max_photo: int = 25 << 20
    """Bytes of a photo for POST /matte."""
    max_pixels: int = 40_000_000
    """Of such a photo."""
    niceness: int = 10
    """How far the service steps back behind the fits of its machine; its jobs do not."""
    matte_seconds: float = field(default=120.0, repr=False)
    """That matting one photo may take."""

    @property
    def is_wide(self) -> bool:
        """Whether other machines can connect; then reading needs the token, too."""
        return not is_loopback(self.host)

    @property
    def state(self) -> Path:
        return self.runs_dir / STATE


def is_loopback(host: str) -> bool:
    """Whether all addresses that `host` means are this machine's own. A name that means nothing is not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def check(settings: Settings) -> None:
    """Raises ConfigError or DataError, one line with the cure."""
    if not settings.runs_dir.is_dir():
        raise DataError(f"{settings.runs_dir}: no such folder; expected one whose folders are runs (mkdir it first)")
    if settings.token is not None and len(settings.token) < LEAST_TOKEN:
        raise ConfigError(f"the token has {len(settings.token)} characters, expected {LEAST_TOKEN} or more")
    if settings.is_wide and settings.token is None:
        raise ConfigError(
            f"--host {settings.host}: other machines could connect, so a token is needed: set STYLEMATTE_TOKEN or give "
            "--token-file FILE"
        )
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"--port {settings.port}: expected 0 to 65535")


def read_token(file: Path | None) -> str | None:
    """Of the file, or else of the environment; None where neither has one. Raises ConfigError."""
    if file is None:
        return os.environ.get("STYLEMATTE_TOKEN") or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error})") from None
    if not token:
        raise ConfigError(f"--token-file {file}: is empty, expected the token on its first line")
    return token
