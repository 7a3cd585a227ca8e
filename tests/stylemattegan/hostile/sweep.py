"""Writes the corpus of hostile files, and gives each to the command line.

`python -m tests.stylemattegan.hostile.sweep` alone does both and prints a table. The steps of it: `write FILES` writes
them and prints their names. `read FILES EMPTY`, with names on standard input, calls the verbs in one process, so that
torch is imported once; each file is read in a child of its own, as always, or with `read-here` in that process itself,
by the same code but without the child's limits. EMPTY is the folder where payloads would make their file. It prints
JSON: name -> exit code, what was said, seconds, what was left in EMPTY, bytes of memory at most, here and in the child.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
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


def cpu_seconds() -> float:
    """Of this process and those it waited for: what a file costs, and not how busy the machine is."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def read(files: Path, names: list[str]) -> dict[str, Any]:
    from loop.cli.main import main

    found, watch = {}, Watch()
    for name in names:
        watch.reset()
        said, started = io.StringIO(), cpu_seconds()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                code: Any = main([verb(name), os.path.relpath(files / name), "-o", "out"])
            except BaseException as error:
                code = f"{type(error).__name__}: {str(error)[:300]}"
        seconds = cpu_seconds() - started
        memory = {"own": watch.own(), "child": watch.child}
        found[name] = {"code": code, "says": said.getvalue(), "seconds": seconds, "left": os.listdir(), **memory}
    return found


def step(*words: str, names: list[str] | None = None) -> Any:
    """One of the steps above in a process of its own."""
    command = [sys.executable, "-m", "tests.stylemattegan.hostile.sweep", *words]
    done = subprocess.run(command, input=json.dumps(names), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def table() -> None:
    """Per kind of file: how many, the exit codes, the worst second and MiB of both processes together."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("files", "empty"):
            Path(folder, name).mkdir()
        names = step("write", f"{folder}/files")
        found = step("read", f"{folder}/files", f"{folder}/empty", names=names)
    print(f"{'kind':12}{'files':>6}{'codes':>8}{'s':>7}{'MiB':>6}{'child MiB':>11}")
    for kind in sorted({name.partition("-")[0] for name in names}):
        rows = [value for name, value in found.items() if name.startswith(f"{kind}-")]
        codes = ",".join(sorted({str(row["code"]) for row in rows}))
        most = max(row["own"] + row["child"] for row in rows) >> 20, max(row["child"] for row in rows) >> 20
        print(f"{kind:12}{len(rows):6}{codes:>8}{max(row['seconds'] for row in rows):7.1f}{most[0]:6}{most[1]:11}")


if __name__ == "__main__":
    how, *rest = sys.argv[1:] or ["table"]
    if how == "table":
        table()
    elif how == "write":
        print(json.dumps(write(Path(rest[0]))))
    else:
        present = json.loads(sys.stdin.read())
        os.chdir(rest[1])
        with reading_here() if how == "read-here" else contextlib.nullcontext():
            print(json.dumps(read(Path(rest[0]), present)))
