"""Writes the corpus of hostile files, and gives each to the command line.

`python -m tests.stylemattegan.hostile.sweep write FILES` writes them. With `read FILES EMPTY`, and names on standard
input, the verbs are called in one process, so that torch is imported once, and each file is read in a child of its own,
as always; with `read-here` in that process itself, by the same code but without the child's limits. EMPTY is the folder
where payloads would make their file. Prints JSON: name -> exit code, what was said, seconds, what was left in EMPTY, and
bytes of memory at most, of this process and of the child.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHILD = (b"stylematte.untrusted.checkpoints", b"stylemattegan.importing.reader")
EVERY = 0.005


def corpus() -> dict[str, Any]:
    """File name -> what writes it."""
    from tests.stylemattegan.hostile import files, opcodes, trees

    made = {f"pickle-{name}.pkl": files.holding(data) for name, data in opcodes.pickles().items()}
    made |= {f"snapshot-{name}.pkl": _writes(change) for name, change in trees.changes().items()}
    for suffix in (".pkl", ".pth"):
        made |= {f"file-{name}{suffix}": make for name, make in files.ANY.items()}
    made |= {f"checkpoint-{name}.pth": make for name, make in files.CHECKPOINTS.items()}
    return made | {f"header-{name}.safetensors": make for name, make in files.SAFETENSORS.items()}


def _writes(change: Any) -> Any:
    from tests.stylemattegan.hostile import trees

    def make(path: Path) -> None:
        tree = trees.fresh()
        change(tree)
        path.write_bytes(trees.dumped(tree))

    return make


def write(folder: Path) -> list[str]:
    """All files; their names, also of the one that is missing."""
    made = corpus()
    for name, make in made.items():
        make(folder / name)
    return list(made)


def verb(name: str) -> str:
    return "import-generator" if name.endswith(".pkl") else "import-weights"


class Watch:
    """Peak memory (bytes) of this process since `reset`, and of its readers, looked at every 5 ms."""

    def __init__(self) -> None:
        self.child = 0
        threading.Thread(target=self._look, daemon=True).start()

    def reset(self) -> None:
        self.child = 0
        Path("/proc/self/clear_refs").write_text("5")

    def own(self) -> int:
        return _peak("self")

    def _look(self) -> None:
        main = f"/proc/self/task/{os.getpid()}/children"
        while True:
            for pid in Path(main).read_text().split():
                with contextlib.suppress(OSError, IndexError):
                    # before it is another program it shares this one's memory
                    if any(word in Path(f"/proc/{pid}/cmdline").read_bytes() for word in CHILD):
                        self.child = max(self.child, _peak(pid))
            time.sleep(EVERY)


def _peak(pid: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@contextlib.contextmanager
def reading_here() -> Iterator[None]:
    """Readers run in this process."""
    from stylematte.untrusted import apart

    def asked(reader: str, path: Path, folder: Path, words: tuple[str, ...]) -> dict[str, Any]:
        apart.demand_file(path)
        found = apart.answered(importlib.import_module(reader).read, path, folder, *words)
        found = json.loads(json.dumps(found))
        if "refused" in found:
            raise apart.WeightsError(found["refused"])
        return dict(found["about"])

    before, apart._asked = apart._asked, asked
    yield
    apart._asked = before


def read(files: Path, names: list[str]) -> dict[str, Any]:
    from loop.cli.main import main

    found, watch = {}, Watch()
    for name in names:
        watch.reset()
        said, started = io.StringIO(), time.perf_counter()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                code: Any = main([verb(name), os.path.relpath(files / name), "-o", "out"])
            except BaseException as error:
                code = f"{type(error).__name__}: {str(error)[:300]}"
        seconds = time.perf_counter() - started
        memory = {"own": watch.own(), "child": watch.child}
        found[name] = {"code": code, "says": said.getvalue(), "seconds": seconds, "left": os.listdir(), **memory}
    return found


if __name__ == "__main__":
    how, where, *rest = sys.argv[1:]
    if how == "write":
        print(json.dumps(write(Path(where))))
    else:
        present = json.loads(sys.stdin.read())
        os.chdir(rest[0])
        with reading_here() if how == "read-here" else contextlib.nullcontext():
            print(json.dumps(read(Path(where), present)))
