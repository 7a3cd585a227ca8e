"""Reads a file in a process of its own, bound in memory and time, which hands back JSON and safetensors.

The child is `python -m READER FILE FOLDER WORDS`: a module whose last lines are `serve(read)`. It imports no torch and
needs no network. What it finds it writes to two files of FOLDER; nothing of it is unpickled here.
"""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stylematte.errors import WeightsError
from stylematte.untrusted import limits
from stylematte.untrusted.machine import Damaged
from stylematte.untrusted.names import shown

KINDS = {"f2": "F16", "f4": "F32", "f8": "F64", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64", "u1": "U8"}
KINDS |= {"b1": "BOOL"}
"""numpy's names of types, and those of safetensors."""
ANSWER, TENSORS = "answer.json", "tensors.safetensors"


class Plain(NamedTuple):
    """What a reader found. about: JSON."""

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]


def demand_file(path: Path) -> int:
    """The size of a regular file that is not empty, without waiting for one that is a pipe. Raises WeightsError."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise WeightsError("no such file") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f"cannot be opened ({shown(why)})") from None
    return _size(found)


def _size(found: os.stat_result) -> int:
    if stat.S_ISDIR(found.st_mode):
        raise WeightsError("a folder; expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise WeightsError("no plain file but a pipe or a device; expected a file")
    if not 0 < found.st_size <= limits.LARGEST_FILE:
        raise WeightsError(f"a file of {found.st_size:,} bytes; expected 1 to {limits.LARGEST_FILE:,}")
    return found.st_size


@contextlib.contextmanager
def read_apart(reader: str, path: Path, *words: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """(about, safetensors file) of what the module `reader` finds in a file; they are gone afterwards.

    Raises WeightsError of one line, which begins with the path.
    """
    with tempfile.TemporaryDirectory(prefix="stylematte-") as folder:
        try:
            about = _asked(reader, path, Path(folder), words)
        except WeightsError as error:
            raise WeightsError(f"{shown(path, 1000)}: {error}") from None
        yield about, Path(folder) / TENSORS


def _asked(reader: str, path: Path, folder: Path, words: tuple[str, ...]) -> dict[str, Any]:
    size = demand_file(path)
    command = [sys.executable, "-P", "-m", reader, os.fspath(path), os.fspath(folder), *words]
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    one = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    patience = limits.wall_seconds(size)
    try:
        code = subprocess.run(
            command, env={**os.environ, **one, "PYTHONPATH": paths}, timeout=patience, check=False, **quiet
        ).returncode
    except subprocess.TimeoutExpired:
        raise WeightsError(f"reading it took longer than {patience} s") from None
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise WeightsError(f"reading it takes more than {limits.cpu_seconds(size)} s of computing; a sound file less")
    answer = folder / ANSWER
    if code or not answer.is_file() or answer.stat().st_size > limits.RESULT:
        raise WeightsError(f"cannot be read: the process that read it ended with {code}")
    found = json.loads(answer.read_text())
    if "refused" in found:
        raise WeightsError(found["refused"])
    return dict(found["about"])


def serve(read: Callable[..., Plain]) -> None:
    """The child: read(bytes of the file, *words) within its bounds, and write the answer or why there is none."""
    path, folder, *words = sys.argv[1:]
    limits.confine(os.stat(path).st_size)
    gc.disable()  # short-lived, and a pickle makes many small things
    text = json.dumps(answered(read, Path(path), Path(folder), *words))
    if len(text) > limits.RESULT:
        text = json.dumps({"refused": "holds more words than weights need"})
    (Path(folder) / ANSWER).write_text(text)
    os._exit(0)  # what was read is left lying, not taken apart


def answered(read: Callable[..., Plain], path: Path, folder: Path, *words: str) -> dict[str, Any]:
    """What ANSWER will say: {"about"}, with the arrays in TENSORS; or {"refused"}, one line."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            _size(os.fstat(file.fileno()))
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        found = read(data, *words)
        write_safetensors(found.arrays, folder / TENSORS)
        return {"about": found.about}
    except WeightsError as refused:
        return {"refused": str(refused)}
    except Damaged as error:
        return {"refused": f"cannot be read as a pickle, perhaps truncated ({shown(error, 100)})"}
    except MemoryError:
        return {"refused": "reading it takes more memory than a sound file of its size needs"}
    except RecursionError:
        return {"refused": "cannot be read: its parts hold each other too deep"}
    except Exception as error:  # a damaged file can fail in any step
        why = shown(error, 100) or type(error).__name__
        return {"refused": f"cannot be read: not laid out as it should be ({why})"}


def write_safetensors(arrays: dict[str, np.ndarray], path: Path) -> None:
    """As safetensors.numpy.save_file, without its copy of all bytes: arrays may be views of a large file."""
    header, end = {}, 0
    for name, array in arrays.items():
        span = [end, end := end + array.nbytes]
        header[name] = {"dtype": KINDS[array.dtype.str[1:]], "shape": list(array.shape), "data_offsets": span}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
