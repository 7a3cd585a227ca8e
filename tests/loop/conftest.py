"""One tiny run of the whole loop, made once and read by many tests."""

from pathlib import Path

import pytest

import loop

ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs" / "tiny.yaml"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of configs/tiny.yaml: one round, two domains, drawn pictures. Do not change it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return loop.run(TINY, f"run.dir={folder}").folder
