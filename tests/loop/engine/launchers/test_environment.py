"""What a stage's own process inherits: its parent's package, whatever the working directory holds; passive threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import execute
from loop.engine.launchers.environment import child_environment
from tests.loop.toy_run import toy

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("fit", [False, True])
def test_a_loop_py_in_the_working_directory_is_not_imported(tmp_path, monkeypatch, fit: bool) -> None:
    """Neither by the process of a stage nor by torchrun and its ranks; nor is a second checkout."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "__init__.py").write_text("raise SystemExit('the wrong loop')")
    (tmp_path / "loop.py").write_text("raise SystemExit('the wrong loop')")
    step = toy("00/x", stage="ticks", fit=fit, steps=2, sleep=0.0, calls=str(tmp_path / "calls"))
    launch = LaunchConfig(kind=Launch.torchrun, devices=2, retries=0)
    (record,) = execute(tmp_path / "run", [step], launch)
    assert record.metrics["world"] == (2 if fit else 1)


def test_the_path_begins_with_the_parents_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    environment = child_environment(LaunchConfig(), fit=False, slot=None)
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "elsewhere"]
    assert environment["PYTHONSAFEPATH"] == "1"


def test_threads_wait_asleep_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert child_environment(LaunchConfig(), fit=True, slot=None)["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "OMP_WAIT_POLICY" not in child_environment(LaunchConfig(), fit=True, slot=None)


def test_libgomp_reads_the_policy() -> None:
    """What torch's OpenMP itself says it will do."""
    environment = {**os.environ, **child_environment(LaunchConfig(), fit=True, slot=None), "OMP_DISPLAY_ENV": "TRUE"}
    code = "import torch; torch.set_num_threads(2); torch.ones(1 << 16).sum()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr


def test_the_command_line_sets_the_policy_for_its_own_process() -> None:
    """Before torch is there: stages that run inline would spin on cores that the fits beside them need."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
    code = "import loop.cli.main as m; m.main(['plan', 'configs/tiny.yaml']); import torch; torch.ones(1 << 16).sum()"
    for policy, says in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        environment |= {"OMP_DISPLAY_ENV": "TRUE", "PYTHONPATH": str(ROOT), **policy}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"OMP_WAIT_POLICY = '{says}'" in done.stderr


def test_ranks_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(12)))
    assert child_environment(LaunchConfig(devices=4), fit=True, slot=None)["OMP_NUM_THREADS"] == "3"
    assert child_environment(LaunchConfig(devices=99), fit=True, slot=None)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in child_environment(LaunchConfig(devices=4), fit=False, slot=None)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert "OMP_NUM_THREADS" not in child_environment(LaunchConfig(devices=4), fit=True, slot=None)
