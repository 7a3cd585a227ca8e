"""Compile the C++ and CUDA ops once with ninja and keep the libraries in a cache; nothing here imports torch.

    <cache>/ops/<key>.so      key = hash of sources, compiler, flags and the CPU's features
    <cache>/ops/<key>.failed  what the compiler said, so that it is not asked again in every process
    <cache>/ops/.lock         held while building: parallel ranks wait for the one that compiles

The cache is $STYLEMATTE_CACHE, else $XDG_CACHE_HOME/stylematte, else ~/.cache/stylematte. The libraries have a plain C
interface, so they need no header of torch, and one file serves every version of it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent / "csrc"
KERNELS = SOURCES / "kernels"
PATIENCE = 600.0
"""Seconds that a build may take, and that a process waits for another's."""


class Made(NamedTuple):
    """What a library is made of; `what` names it to people."""

    what: str
    compiler: str
    flags: list[str]
    sources: list[Path]


class CannotBuild(RuntimeError):
    """One line: why there is no library, and how to mend it."""


def cache_folder() -> Path:
    """Where built libraries are kept; not made here."""
    own = os.environ.get("STYLEMATTE_CACHE")
    if own:
        return Path(own).expanduser() / "ops"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "stylematte" / "ops"


def compiler() -> str:
    """The C++ compiler: $CXX, else the first of c++, g++, clang++. Raises CannotBuild."""
    named = os.environ.get("CXX")
    for name in [named] if named else ["c++", "g++", "clang++"]:
        found = shutil.which(name)
        if found:
            return found
    raise CannotBuild(f"no C++ compiler ({named or 'c++, g++, clang++'} not found): install g++ or set CXX")


def nvcc() -> str:
    """The CUDA compiler: that of $CUDA_HOME, on the PATH, or where its installer puts it. Raises CannotBuild."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    for folder in [f"{home}/bin"] if home else [None, "/usr/local/cuda/bin"]:
        found = shutil.which("nvcc", path=folder)
        if found:
            return found
    raise CannotBuild(f"no nvcc ({f'{home}/bin' if home else 'PATH'}): install the CUDA toolkit or set CUDA_HOME")


def ninja() -> str:
    """The ninja program: that of the PyPI package, beside this Python, or on the PATH. Raises CannotBuild."""
    candidates: list[str | None] = []
    try:
        from ninja import BIN_DIR

        candidates.append(shutil.which("ninja", path=BIN_DIR))
    except ImportError:
        pass
    candidates += [shutil.which("ninja", path=str(Path(sys.executable).parent)), shutil.which("ninja")]
    for candidate in candidates:
        if candidate:
            return candidate
    raise CannotBuild("no ninja: pip install ninja")


def flags() -> list[str]:
    """For this very CPU: the key of the cache holds its features, so another machine builds its own."""
    native = "-march=native" if platform.machine().lower() in ("x86_64", "amd64") else "-mcpu=native"
    return ["-std=c++17", "-O3", native, "-fPIC", "-fvisibility=hidden", "-pthread"]


def cpu_features() -> str:
    """What the processor can do, as text."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    telling = ("flags", "Features", "model name", "CPU part", "cpu family", "model\t")
    return platform.machine() + "\n" + "\n".join(sorted({line for line in lines if line.startswith(telling)}))


def cpp_ops() -> Made:
    """The ops for this CPU. Raises CannotBuild."""
    return Made("C++ ops", compiler(), flags(), sorted(SOURCES.glob("*.cpp")))


def emulated_ops() -> Made:
    """The CUDA kernels, emulated on the CPU. Raises CannotBuild."""
    return Made("emulated CUDA ops", compiler(), flags(), [KERNELS / "emulated.cpp"])


def cuda_ops(architectures: tuple[str, ...]) -> Made:
    """The CUDA kernels for GPUs of these compute capabilities, such as ("80", "90"). Raises CannotBuild."""
    codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    given = ["-std=c++17", "-O3", *codes, "-Xcompiler=-fPIC,-fvisibility=hidden"]
    return Made("CUDA ops", nvcc(), given, [KERNELS / "ops.cu"])


def key(made: Made) -> str:
    """Equal keys, equal libraries."""
    said = subprocess.run([made.compiler, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    digest = hashlib.sha256("\0".join([made.compiler, said, *made.flags, cpu_features(), sys.platform]).encode())
    for source in sorted({*made.sources, *(h for s in made.sources for h in s.parent.glob("*.h"))}):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:20]


def library_file(wanted: Callable[[], Made] = cpp_ops, again: bool = False) -> Path:
    """The built library, compiled now if the cache lacks it. again: also if it failed before. Raises CannotBuild."""
    try:
        made = wanted()
        folder, name = cache_folder(), key(made)
        done, failed = folder / f"{name}.so", folder / f"{name}.failed"
        if not done.is_file():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _locked(folder / ".lock") as alone:
                if again:
                    failed.unlink(missing_ok=True)
                if failed.is_file():
                    raise CannotBuild(f"{failed.read_text()} (`stylematte doctor --ops` tries again)")
                if not done.is_file():
                    if alone:
                        _sweep(folder)
                    _build(made, done, failed)
        if hasattr(os, "getuid") and done.stat().st_uid not in (os.getuid(), 0):
            raise CannotBuild(f"{done} belongs to another user: set STYLEMATTE_CACHE to a folder of your own")
        return done
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise CannotBuild(f"{error}: set STYLEMATTE_CACHE to a folder that can be written") from error


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """One process at a time: True. Where files cannot be locked, False: several may build, each in a folder of its own,
    and the rename at the end still keeps the result whole."""
    try:
        import fcntl
    except ImportError:
        yield False
        return
    deadline, alone = time.monotonic() + PATIENCE, False
    with file.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
            except BlockingIOError as busy:
                if time.monotonic() > deadline:
                    raise CannotBuild(f"{file} has been locked for {PATIENCE:.0f} s: remove it") from busy
                time.sleep(0.05)
                continue
            except OSError:
                pass
            break
        yield alone


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed left; others' work, were the lock not ours."""
    for left in folder.glob(".build-*"):
        shutil.rmtree(left, ignore_errors=True)


def _build(made: Made, done: Path, failed: Path) -> None:
    """Compile in a folder of its own beside `done`, then rename."""
    tool = ninja()
    with tempfile.TemporaryDirectory(prefix=".build-", dir=done.parent) as scratch:
        (Path(scratch) / "build.ninja").write_text(recipe(made))
        try:
            run = subprocess.run([tool, "-C", scratch], capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise CannotBuild(f"{made.compiler} took more than {PATIENCE:.0f} s") from error
        if run.returncode:
            said = run.stdout + run.stderr
            lines = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines() or ["nothing"]
            why = f"{made.compiler} could not compile the {made.what}: {lines[0].strip()[:200]}"
            failed.write_text(why)
            raise CannotBuild(why)
        os.replace(Path(scratch) / "ops.so", done)


def recipe(made: Made) -> str:
    """The build.ninja: one object per source, one library."""

    def escaped(text: str) -> str:
        return text.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")

    objects = [f"{source.stem}.o" for source in made.sources]
    command = f"'{made.compiler}' {' '.join(made.flags)}"
    return "\n".join(
        [
            "ninja_required_version = 1.5",
            f"rule cc\n  command = {command} -c '$in' -o $out\n  description = $out",
            f"rule link\n  command = {command} -shared $in -o $out",
            *(f"build {o}: cc {escaped(str(s))}" for s, o in zip(made.sources, objects, strict=True)),
            f"build ops.so: link {' '.join(objects)}\n",
        ]
    )
