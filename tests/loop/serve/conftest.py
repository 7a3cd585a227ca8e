"""The service over the tiny run, asked in this process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from loop.serve.app import build_app
from loop.serve.settings import Settings

TOKEN = "a token of tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def asked(settings: Settings, address: str = "http://127.0.0.1") -> TestClient:
    """Use it in a `with`."""
    return TestClient(build_app(settings), address, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture(scope="session")
def shown_runs(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/tiny is the tiny run, which nobody may change; beside the folder lies a file that nobody may read."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "runs").mkdir()
    (folder / "runs" / "tiny").symlink_to(tiny_run)
    (folder / "secret.txt").write_text("nobody may read this")
    return folder / "runs"


@pytest.fixture(scope="session")
def reader(shown_runs: Path) -> Iterator[TestClient]:
    """Of a service with a token, on loopback, over runs that nobody may change."""
    with asked(Settings(shown_runs, token=TOKEN)) as it:
        yield it


@pytest.fixture
def runs_dir(tiny_run: Path, tmp_path: Path) -> Path:
    """runs/tiny is a copy that a test may change."""
    shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")
    return tmp_path / "runs"


@pytest.fixture
def client(runs_dir: Path) -> Iterator[TestClient]:
    """As `reader`, over runs that a test may change."""
    with asked(Settings(runs_dir, token=TOKEN)) as it:
        yield it
