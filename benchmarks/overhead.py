"""What a run pays outside its fits: imports of each stage, seconds by stage, stages beside the fits of others.

    python -m benchmarks.overhead RUN [--config configs/quickstart.yaml] [--domain portraits] [--busy 2] [--threads 2]

RUN: a finished run of that configuration. Three tables:
imports: CPU seconds until a fresh process has imported a stage, beside torch and Lightning alone.
stages: wall seconds by stage as RUN's records have them.
beside: wall seconds of round 1's label and select_generator, made again while `busy` processes compute, with OpenMP
threads that wait spinning (libgomp's default) and asleep (what the command line sets); their files are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
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
start = time.monotonic()
run(ctx)
print(time.monotonic() - start)
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


def beside(run: Path, config: Path, domain: str, busy: int, threads: int) -> None:
    read = load_config(config, [])
    steps = {step.id: step for step in plan(read, fingerprints(read))}
    base = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
    others = [subprocess.Popen([sys.executable, "-c", BUSY], env=base) for _ in range(busy)]
    try:
        for stage in ("label", "select_generator"):
            step = steps[f"01/{domain}/{stage}"]
            inputs = {name: str(run / "rounds" / folder) for name, folder in step.inputs.items()}
            for policy, more in POLICIES.items():
                with tempfile.TemporaryDirectory() as scratch:
                    given = {"stage": stage, "inputs": inputs, "config": step.config, "seed": step.seed}
                    given |= {"out": f"{scratch}/out", "scratch": f"{scratch}/scratch"}
                    environment = {**base, "OMP_NUM_THREADS": str(threads), **more}
                    command = [sys.executable, "-c", STAGE, json.dumps(given)]
                    found = made(command, environment, Path(scratch) / "out")
                print(f"beside   {stage:17} {policy:9} {found}", flush=True)
    finally:
        for other in others:
            other.kill()


def made(command: list[str], environment: dict[str, str], out: Path) -> str:
    """Seconds and a digest of the files, or that it was given up."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE} s, given up"
    return f"{float(done.stdout.split()[-1]):6.1f} s, files {digest(out)}"


def digest(folder: Path) -> str:
    """Of the names and bytes of all files."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/quickstart.yaml"))
    parser.add_argument("--domain", default="portraits")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute meanwhile")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    imports()
    stages(args.run)
    beside(args.run, args.config, args.domain, args.busy, args.threads)


if __name__ == "__main__":
    main()
