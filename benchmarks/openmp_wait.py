"""Steps per second of a small fit by how its OpenMP threads wait for each other: spinning (the default), or asleep.

    python benchmarks/openmp_wait.py [--processes 2] [--threads 2] [--seconds 10]

As many processes as asked for train the same small convolutional network at the same time, each with so many threads,
under the environment's default and under OMP_WAIT_POLICY=PASSIVE; before that one process alone. A thread that waits at
the end of a parallel region spins by default, on the core that the thread it waits for may need: with more threads
than free cores a fit crawls. `loop.engine.launchers.environment` sets the passive policy for a run's child processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from statistics import mean

POLICIES = {"default": {}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
UNSET = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "MKL_NUM_THREADS")

FIT = """
import sys, time
import torch
from torch import nn
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 16, 3, padding=1), nn.GELU(),
                        nn.Conv2d(16, 1, 3, padding=1))
adam = torch.optim.Adam(network.parameters())
images, target = torch.rand(8, 3, 64, 64), torch.rand(8, 1, 64, 64)
def step():
    adam.zero_grad()
    (network(images) - target).abs().mean().backward()
    adam.step()
for _ in range(5):
    step()
print("ready", flush=True)
sys.stdin.readline()
steps, end = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    step()
    steps += 1
print(steps / float(sys.argv[1]))
"""


def rates(processes: int, threads: int, seconds: float, policy: dict[str, str]) -> list[float]:
    """Steps per second of each of the processes, which begin together."""
    environment = {key: value for key, value in os.environ.items() if key not in UNSET}
    environment |= {"OMP_NUM_THREADS": str(threads), **policy}
    command = [sys.executable, "-c", FIT, str(seconds)]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) for _ in range(processes)]
    for process in running:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("the fit did not start")
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in running]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}; steps per second of each process")
    for processes in sorted({1, args.processes}):
        for name, policy in POLICIES.items():
            found = rates(processes, args.threads, args.seconds, policy)
            each = " ".join(f"{rate:.1f}" for rate in found)
            print(f"{processes} x {args.threads} threads, {name}: {mean(found):.1f} ({each})", flush=True)


if __name__ == "__main__":
    main()
