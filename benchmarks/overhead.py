"""What a run pays outside its fits: starts of steps, imports, seconds by stage, stages beside the fits of others.

    python -m benchmarks.overhead starts                     a fit's own process, started afresh and forked
    python -m benchmarks.overhead imports                    CPU seconds to import each stage, torch, Lightning
    python -m benchmarks.overhead stages RUN                 wall seconds by stage as RUN's records have them
    python -m benchmarks.overhead work RUN                   CPU seconds of round 1's stages but its fits, made again
    python -m benchmarks.overhead beside RUN [--busy 2]      label and select_generator beside other work

RUN: a finished run of --config. starts: four processes one after the other, from the call to the stage's first line;
the stage is a fit's, with everything that it imports, and ends at once. beside: wall seconds while `busy` processes
compute, with OpenMP threads that wait spinning (libgomp's default) and asleep (what the command line sets); the files
are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.engine.launchers.forked import fork_servers
from loop.engine.launchers.launcher import Job
from loop.engine.launchers.process import ProcessLauncher
from loop.engine.stage import Context
from loop.engine.step import Step
from loop.plan import plan

STAGES = ("prepare", "label", "fit_generator", "select_generator", "synthesize", "select", "fit_matter", "evaluate")
POLICIES = {"asleep": {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}, "spinning": {}}
PATIENCE = 90
IMPORT = "import time; s = time.process_time(); import {0}; print(time.process_time() - s)"
STAGE = """
import json, sys, time
from pathlib import Path
from loop.engine.stage import Context
from loop.engine.worker import stage_function
import torch
given = json.loads(sys.argv[1])
for name in ("out", "scratch"):
    Path(given[name]).mkdir()
ctx = Context({k: Path(v) for k, v in given["inputs"].items()}, Path(given["out"]), Path(given["scratch"]),
              given["config"], given["seed"], runtime={"accelerator": "cpu"})
run = stage_function(given["stage"])
torch.ones(1 << 20).sum()
start = time.monotonic(), time.process_time()
run(ctx)
print(time.monotonic() - start[0], time.process_time() - start[1])
"""
BUSY = "import torch\ntorch.set_num_threads(1)\nx = torch.rand(512, 512)\nwhile True: x @ x"


def imports() -> None:
    for name in ("torch", "lightning.pytorch", *(f"loop.stages.{stage}" for stage in STAGES)):
        command = [sys.executable, "-c", IMPORT.format(name)]
        taken = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
        print(f"imports  {name:32} {min(taken):5.2f} CPU s", flush=True)


def stages(run: Path) -> None:
    seconds: dict[str, float] = defaultdict(float)
    for file in sorted(run.glob("rounds/**/stage.json")):
        record = json.loads(file.read_text())
        seconds[record["stage"]] += record["seconds"]
    total = sum(seconds.values())
    for stage, taken in sorted(seconds.items(), key=lambda pair: -pair[1]):
        print(f"stages   {stage:32} {taken:6.1f} s, {taken / total:.0%}")
    outside = sum(taken for stage, taken in seconds.items() if not stage.startswith("fit_"))
    print(f"stages   {'all but fits':32} {outside:6.1f} s, {outside / total:.1%}")


def starts(count: int = 4) -> None:
    """Wall seconds of each start in turn, and CPU seconds of all processes together."""
    for name, fork in (("afresh", False), ("forked", True)):
        before, taken = children(), []
        with fork_servers():
            for _ in range(count):
                taken.append(one_start(fork))
        cpu = children() - before
        seconds = ", ".join(f"{wall:.2f}" for wall in taken)
        print(f"starts   {name:8} {seconds} s; {cpu / count:.2f} CPU s each, of {count}", flush=True)


def children() -> float:
    """CPU seconds of all processes below this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one_start(fork: bool) -> float:
    """Wall seconds until the worker's stage has read that its configuration is empty, and ended."""
    step = Step("01/x/fit_generator", "fit_generator", 1, "x", {}, {}, 0, True, 1)
    with tempfile.TemporaryDirectory() as folder:
        out, scratch = Path(folder) / "out", Path(folder) / "scratch"
        out.mkdir()
        scratch.mkdir()
        job = Job(step, Context({}, out, scratch, {}, 0), Path(folder) / "log", {"OMP_NUM_THREADS": "1"}, 1.0)
        launcher, start = ProcessLauncher(fork), time.monotonic()
        launcher.start(job, 1)
        while (outcome := launcher.poll()) is None:
            time.sleep(0.005)
        assert outcome.problem is not None
        assert outcome.problem.type, "the stage was not reached"
        return time.monotonic() - start


def work(run: Path, config: Path, domain: str) -> None:
    """Of the stages of round 1 that are no fits, one thread, imports left out."""
    read = load_config(config, [])
    for step in plan(read, fingerprints(read)):
        if step.stage.startswith("fit_") or step.round > 1 or step.domain not in (None, domain):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            _, cpu = seconds_of(step, run, {**os.environ, **POLICIES["asleep"], "OMP_NUM_THREADS": "1"}, Path(scratch))
        print(f"work     {step.id:32} {cpu:6.2f} CPU s", flush=True)


def beside(run: Path, config: Path, domain: str, busy: int, threads: int) -> None:
    read = load_config(config, [])
    steps = {step.id: step for step in plan(read, fingerprints(read))}
    base = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
    others = [subprocess.Popen([sys.executable, "-c", BUSY], env=base) for _ in range(busy)]
    try:
        for stage in ("label", "select_generator"):
            for policy, more in POLICIES.items():
                environment = {**base, "OMP_NUM_THREADS": str(threads), **more}
                with tempfile.TemporaryDirectory() as scratch:
                    found = made(steps[f"01/{domain}/{stage}"], run, environment, Path(scratch))
                print(f"beside   {stage:17} {policy:9} {found}", flush=True)
    finally:
        for other in others:
            other.kill()


def made(step: Step, run: Path, environment: dict[str, str], scratch: Path) -> str:
    """Seconds and a digest of the files, or that it was given up."""
    try:
        wall, _ = seconds_of(step, run, environment, scratch)
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE} s, given up"
    return f"{wall:6.1f} s, files {digest(scratch / 'out')}"


def seconds_of(step: Step, run: Path, environment: dict[str, str], scratch: Path) -> tuple[float, float]:
    """Wall and CPU seconds of the stage's work in a process of its own, its inputs those of `run`."""
    inputs = {name: str(run.resolve() / "rounds" / folder) for name, folder in step.inputs.items()}
    given = {"stage": step.stage, "inputs": inputs, "config": step.config, "seed": step.seed}
    given |= {"out": f"{scratch}/out", "scratch": f"{scratch}/scratch"}
    command = [sys.executable, "-c", STAGE, json.dumps(given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    wall, cpu = done.stdout.split()[-2:]
    return float(wall), float(cpu)


def digest(folder: Path) -> str:
    """Of the names and bytes of all files."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["starts", "imports", "stages", "work", "beside"])
    parser.add_argument("run", type=Path, nargs="?", help="a finished run; not for starts and imports")
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    parser.add_argument("--domain", default="portraits")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute meanwhile")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.run is None and args.what not in ("starts", "imports"):
        parser.error(f"{args.what} needs a finished run")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    {
        "starts": starts,
        "imports": imports,
        "stages": lambda: stages(args.run),
        "work": lambda: work(args.run, args.config, args.domain),
        "beside": lambda: beside(args.run, args.config, args.domain, args.busy, args.threads),
    }[args.what]()


if __name__ == "__main__":
    main()
