"""Building the C++ ops: once, by one process, never at import, and never fatal."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stylemattegan import ops
from stylemattegan.ops import build, cpu, implementation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def _fresh(monkeypatch, tmp_path):
    """As in a new process with an empty cache."""
    monkeypatch.setenv("STYLEMATTE_CACHE", str(tmp_path))
    monkeypatch.setattr(cpu, "_state", None)
    monkeypatch.setattr(implementation, "_default", None)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that counts its calls and succeeds or fails as asked, instead of the real one."""

    def make(script: str) -> Path:
        program = tmp_path / "cxx"
        counted = f'[ "$1" = --version ] && echo fake && exit 0\necho x >> {tmp_path}/calls'
        program.write_text(f"#!/bin/sh\n{counted}\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("CXX", str(program))
        return tmp_path / "calls"

    return make


def working_ninja() -> None:
    try:
        build.ninja()
    except build.CannotBuild as error:
        pytest.skip(str(error))


TOUCH = 'while [ $# -gt 1 ]; do [ "$1" = -o ] && touch "$2"; shift; done'


@pytest.mark.usefixtures("_fresh")
def test_no_compiler_is_one_line_and_the_torch_path(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    x, f = torch.randn(1, 2, 6, 6), torch.rand(4)
    with caplog.at_level(logging.WARNING):
        y = ops.upfirdn2d(x, f, padding=2, impl="cpu")
        ops.filtered_lrelu(x, f, f, up=2, padding=4)
    torch.testing.assert_close(y, ops.upfirdn2d(x, f, padding=2, impl="reference"))
    (record,) = caplog.records
    assert "no C++ compiler (no-such-compiler" in record.getMessage()
    assert "\n" not in record.getMessage()


@pytest.mark.usefixtures("_fresh")
def test_a_failing_compiler_is_asked_once(compiler, caplog, monkeypatch):
    working_ninja()
    calls = compiler('echo "ops.cpp:1:1: error: too old" >&2; exit 1')
    with caplog.at_level(logging.WARNING):
        assert not cpu.available()
    assert "could not compile the C++ ops: ops.cpp:1:1: error: too old" in caplog.text
    count = len(calls.read_text())
    monkeypatch.setattr(cpu, "_state", None)  # another process
    assert not cpu.available()
    assert len(calls.read_text()) == count
    with pytest.raises(build.CannotBuild, match="too old"):
        build.library_file(again=True)
    assert len(calls.read_text()) > count


@pytest.mark.usefixtures("_fresh")
def test_a_library_that_cannot_be_loaded_is_one_line(compiler, caplog):
    working_ninja()
    compiler(TOUCH)  # "compiles" empty files
    with caplog.at_level(logging.WARNING):
        assert not cpu.available()
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("_fresh")
def test_processes_wait_for_the_one_that_builds(compiler, tmp_path):
    working_ninja()
    calls = compiler(f"sleep 0.3; {TOUCH}")
    # the file alone, without torch, starts at once
    code = f"import runpy; print(runpy.run_path({build.__file__!r})['library_file']())"
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    files = {run.communicate(timeout=60)[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0, 0]
    (file,) = files
    assert Path(file).is_file()
    objects = len(list(build.SOURCES.glob("*.cpp")))
    assert len(calls.read_text().split()) == objects + 1
    assert not list((tmp_path / "ops").glob(".build-*"))


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("lockable", [True, False])
def test_what_killed_builds_left_goes_where_nobody_else_can_be_at_it(compiler, tmp_path, monkeypatch, lockable):
    """On a file system without locks a folder beside may be another process's, at work."""
    working_ninja()
    compiler(TOUCH)
    (beside := tmp_path / "ops/.build-another").mkdir(parents=True)
    if not lockable:
        monkeypatch.setattr("fcntl.flock", lambda *_: os.stat(tmp_path / "none"))  # an OSError
    assert build.library_file().is_file()
    assert beside.is_dir() != lockable


def python() -> build.Made:
    """Some program that says its version."""
    return build.Made("C++ ops", sys.executable, build.flags(), sorted(build.SOURCES.glob("*.cpp")))


@pytest.mark.usefixtures("_fresh")
def test_the_key_tells_compilers_flags_and_processors_apart(monkeypatch):
    keys = {build.key(python())}
    monkeypatch.setattr(build, "cpu_features", lambda: "another processor")
    keys.add(build.key(python()))
    monkeypatch.setattr(build, "flags", lambda: ["-O0"])
    keys.add(build.key(python()))
    assert len(keys) == 3


@pytest.mark.usefixtures("_fresh")
def test_a_cache_that_cannot_be_written_is_one_line(compiler, monkeypatch, tmp_path, caplog):
    compiler(TOUCH)
    (tmp_path / "file").touch()
    monkeypatch.setenv("STYLEMATTE_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert not cpu.available()
    assert "set STYLEMATTE_CACHE to a folder that can be written" in caplog.text


def test_another_users_library_is_not_loaded(compiler, monkeypatch, tmp_path):
    working_ninja()
    monkeypatch.setenv("STYLEMATTE_CACHE", str(tmp_path))
    compiler(TOUCH)
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    file = tmp_path / "ops" / f"{build.key(build.cpp_ops())}.so"
    file.parent.mkdir()
    file.touch()
    if file.stat().st_uid == 0:
        pytest.skip("everything belongs to root here, whom everybody trusts")
    with pytest.raises(build.CannotBuild, match="belongs to another user"):
        build.library_file()


def test_ninja_is_found_beside_python_when_it_is_not_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    pytest.importorskip("ninja")
    assert Path(build.ninja()).is_file()


def test_importing_compiles_nothing(tmp_path):
    environment = os.environ | {"STYLEMATTE_CACHE": str(tmp_path / "none")}
    code = "import stylemattegan.networks, stylemattegan.ops"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment, timeout=300)
    assert not (tmp_path / "none").exists()


def test_the_variable_chooses_and_a_wrong_one_is_told(monkeypatch):
    monkeypatch.setattr(implementation, "_default", None)
    monkeypatch.setenv("STYLEMATTE_OPS", "torch")
    assert implementation.chosen(None, torch.ones(1)) == "torch"
    monkeypatch.setenv("STYLEMATTE_OPS", "fast")
    with pytest.raises(
        ValueError, match=r"'fast' \(\$STYLEMATTE_OPS\): expected one of auto, reference, torch, cpu, cuda, emulated"
    ):
        implementation.chosen(None, torch.ones(1))


def test_other_number_types_take_the_torch_path():
    assert implementation.chosen("cpu", torch.ones(1, dtype=torch.bfloat16)) == "torch"
    assert implementation.chosen("cpu", torch.ones(1, device="meta")) == "torch"
    assert implementation.chosen("reference", torch.ones(1)) == "reference"
