"""`python -m loop.engine.worker SPEC.json`: one stage in a process of its own, or one rank of a fit under torchrun.

It says how it ended with a file in scratch/launch (`loop.engine.outcome`), never with its exit code alone.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loop.engine import orphans, signals
from loop.engine.digest import plain
from loop.engine.files import write_json
from loop.engine.lock import FileLock
from loop.engine.outcome import describe, write_metrics, write_problem, write_stopped
from loop.engine.stage import Context, Metrics, Stopped
from loop.engine.step import launch_folder

PREDECESSOR = 30.0  # seconds a killed predecessor may take to let go of scratch


def stage_function(stage: str) -> Callable[[Context], Metrics]:
    """`run` of loop.stages.STAGE, or of the module STAGE itself when it has a dot."""
    module = importlib.import_module(stage if "." in stage else f"loop.stages.{stage}")
    function: Callable[[Context], Metrics] = module.run
    return function


def write_spec(path: Path, ctx: Context, stage: str) -> None:
    """What `main` needs to make the same context in another process."""
    spec = {
        "stage": stage,
        "orchestrator": os.getpid(),
        "inputs": {name: str(folder) for name, folder in ctx.inputs.items()},
        "out": str(ctx.out),
        "scratch": str(ctx.scratch),
        "config": ctx.config,
        "seed": ctx.seed,
        "step_id": ctx.step_id,
        "runtime": plain(ctx.runtime),
    }
    write_json(path, spec, sort_keys=False)  # the order of domains and sources is part of what is computed


def main(argv: list[str]) -> int:
    spec = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    launch = launch_folder(Path(spec["scratch"]))
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    orphans.watch(spec["orchestrator"])
    signals.install_in_worker(launch / "stop")
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT, all_threads=True)  # the watchdog asks where a silent stage hangs
    (launch / f"pid.{rank}").write_text(str(os.getpid()))
    if rank == 0 and not FileLock(launch / "lock", {"pid": os.getpid()}).acquire(PREDECESSOR):
        write_problem(launch, rank, describe(RuntimeError("an earlier process of this stage does not end")))
        return 1
    return _run(spec, launch, rank, world)


def _run(spec: dict[str, Any], launch: Path, rank: int, world: int) -> int:
    try:
        metrics = stage_function(spec["stage"])(_context(spec, rank, world))
    except Stopped as stop:
        write_stopped(launch, rank, str(stop))
        return 0  # an error code would make torchrun kill the ranks that are still writing their checkpoint
    except BaseException as error:
        traceback.print_exc()
        write_problem(launch, rank, describe(error))
        return 1
    if rank == 0:
        write_metrics(launch, metrics or {})
    return 0


def _context(spec: dict[str, Any], rank: int, world: int) -> Context:
    scratch, out = Path(spec["scratch"]), Path(spec["out"])
    if rank > 0:
        # A rank that writes its result without asking which rank it is does no harm.
        out = launch_folder(scratch) / f"out.{rank}"
        out.mkdir()
    return Context(
        inputs={name: Path(folder) for name, folder in spec["inputs"].items()},
        out=out,
        scratch=scratch,
        config=spec["config"],
        seed=spec["seed"],
        step_id=spec["step_id"],
        runtime=spec["runtime"],
        rank=rank,
        world=world,
    )


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(code)
