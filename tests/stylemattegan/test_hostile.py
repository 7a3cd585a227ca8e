"""Hostile snapshots and checkpoints: each is a line and exit code 3, takes little, runs nothing and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from stylematte.errors import WeightsError
from stylematte.untrusted.apart import read_apart, write_safetensors
from stylematte.untrusted.names import shown, shown_value
from tests.stylemattegan.hostile.sweep import step, verb

KINDS = {"pickle": 100, "snapshot": 100, "file": 50, "checkpoint": 35, "header": 15}
"""And at least how many there are."""
MEMORY, SECONDS, LONGEST = 2**30, 10, 600
APART = [
    "pickle-call-os.system.pkl",
    "pickle-deep-dict.pkl",
    "pickle-deep-tuple-as-key.pkl",
    "pickle-keys-of-one-hash.pkl",
    "pickle-lists-of-millions.pkl",
    "snapshot-modules-shared.pkl",
    "snapshot-tensor-shared-bytes.pkl",
    "snapshot-tensor-stride-zero.pkl",
    "snapshot-argument-layers-10^9.pkl",
    "file-gigabytes-as-bytes.pkl",
    "checkpoint-root-a-program.pth",
    "checkpoint-zip-bomb.pth",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """(files, an empty folder, names)."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("files", "empty"):
        (folder / name).mkdir()
    yield folder / "files", folder / "empty", step("write", str(folder / "files"))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def swept(corpus):
    files, empty, names = corpus
    return step("read-here", str(files), str(empty), names=names)


def wrong(name: str, code: object, says: str, left: list[str], seconds: float, memory: int) -> list[str]:
    """What is not as it should be about a refusal."""
    line = says.removesuffix("\n")
    checks = {
        f"exit code {code}": code == 3,
        "not one line": says.endswith("\n") and line.isprintable() and line.startswith("stylematte: "),
        "does not name the file": name in says,
        f"{len(says)} characters": len(says) < LONGEST,
        f"left {left}": not left,
        f"{seconds:.1f} s": seconds < SECONDS,
        f"{memory >> 20} MiB": memory < MEMORY,
    }
    return [f"{name}: {what}: {says[:200]!r}" for what, well in checks.items() if not well]


def all_wrong(found):
    return [
        line
        for name, at in found.items()
        for line in wrong(name, at["code"], at["says"], at["left"], at["seconds"], at["own"] + at["child"])
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_refused_in_a_line(kind, swept):
    found = {name: value for name, value in swept.items() if name.startswith(f"{kind}-")}
    assert len(found) >= KINDS[kind]
    assert not all_wrong(found), "\n".join(all_wrong(found))


def test_the_greediest_are_refused_in_a_child(corpus):
    """The greediest, read as users read them."""
    files, empty, names = corpus
    assert set(APART) <= set(names)
    assert all_wrong(step("read", str(files), str(empty), names=APART)) == []


# Runs commands from a process that is small itself: exec hands on how much memory the one that forked has used.
RUNNER = """
import json, os, subprocess, sys
for command in json.load(sys.stdin):
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    says = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime  # with its reader's; not the wait for a busy machine
    print(json.dumps([child.returncode, says, os.listdir(), seconds, used.ru_maxrss * 1024]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_each_is_refused_by_a_command_of_its_own(corpus):
    """Every fourteenth file, 2.5 s each; `python -m tests.stylemattegan.hostile.sweep` takes all through the verbs."""
    files, empty, names = corpus
    some = sorted(names)[::14]
    commands = [
        [sys.executable, "-m", "loop.cli.main", verb(name), os.path.relpath(files / name, empty), "-o", "out"]
        for name in some
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=empty,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [line for name, found in zip(some, results, strict=True) for line in wrong(name, *found)]
    assert not lines, "\n".join(lines)


# --- the child


def asked(path: Path, wish: str):
    with read_apart("tests.stylemattegan.hostile.greedy", path, wish) as (about, file):
        return about, file.exists()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("memory", "takes more memory than a sound file of its size needs"),
        ("disk", "cannot be read: .*File too large"),
        ("words", "holds more words than weights need"),
        ("depth", "its parts hold each other too deep"),
        ("crash", "the process that read it ended with -11"),
        pytest.param("time", "takes more than 5 s of computing", marks=pytest.mark.slow),
    ],
)
def test_a_reader_gets_no_more_than_its_limits(tmp_path, wish, says):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(WeightsError, match=says) as caught:
        asked(tmp_path / "a", wish)
    assert str(caught.value).startswith(f"{tmp_path}/a: ")
    assert "\n" not in str(caught.value)


def test_a_reader_finds_this_code_and_not_that_of_the_present_folder(tmp_path, monkeypatch):
    """A folder of downloads may hold a numpy.py."""
    monkeypatch.chdir(tmp_path)
    Path("numpy.py").write_text("open('canary', 'w')\n")
    Path("a").write_bytes(b"x")
    assert asked(Path("a"), "nothing")[0] == {"a": os.pathsep.join(entry for entry in sys.path if entry)}
    assert not Path("canary").exists()


def test_arrays_are_written_as_the_library_writes_them(tmp_path):
    kinds = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?"]
    arrays = {kind: np.arange(6).reshape(3, 2).T.astype(kind) for kind in kinds} | {"0-d": np.float32(3).reshape(())}
    write_safetensors(arrays, tmp_path / "a")
    found = load_file(tmp_path / "a")
    assert found.keys() == arrays.keys()
    for kind, array in arrays.items():
        assert found[kind].dtype == array.dtype
        np.testing.assert_array_equal(found[kind], array)


def test_names_are_printable_and_short():
    assert shown("a\nb\x1b[2J\u202e\ud800") == "a\\nb\\x1b[2J\\u202e\\ud800"
    assert shown("x" * 81) == "x" * 77 + "..."
    assert [shown_value(value) for value in (1, "a", [1], 10**400)] == ["1", "'a'", "a list", "a int"]
    assert json.dumps(shown("é")) == '"\\u00e9"'
