"""Builds, verifies, counts, deduplicates and splits a pool of many small entries, and the memory that takes.

    python benchmarks/pool.py [--entries 100000] [--size 32]

docs/pools.md has its figures. The pictures are random colours and alphas, made on the way: a part of "build".
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch

from stylematte.pools.duplicates import group_of
from stylematte.pools.place import place
from stylematte.pools.pool import open_pool
from stylematte.pools.rewrite import split_pool
from stylematte.pools.statistics import statistics
from stylematte.pools.verify import verify
from stylematte.pools.writer import rgba_entry, shard_name, write_shard

PER_SHARD = 1000


def entries(start: int, count: int, size: int):
    for number in range(start, start + count):
        generator = torch.Generator().manual_seed(number)
        coarse = torch.rand(1, 4, 6, 6, generator=generator)
        rgba = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")[0]
        yield rgba_entry(f"{number:08d}", {"seed": number, "kept": True, "generator": "benchmark"}, rgba)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'at the start':24s}          {memory():6.0f} MiB")
    with tempfile.TemporaryDirectory() as folder:
        at = str(Path(folder) / "pool")
        timed("build", args.entries, lambda: build(at, args))
        for name, work in (
            ("stats", lambda: statistics(open_pool(at))),
            ("verify", lambda: verify(open_pool(at))),
            ("verify --deep", lambda: verify(open_pool(at), deep=True)),
            ("dedup", lambda: group_of(open_pool(at).entries())),
            ("split", lambda: split_pool(open_pool(at), f"{folder}/split", 0.05)),
        ):
            timed(name, args.entries, work)


def build(at: str, args: argparse.Namespace) -> None:
    for number, start in enumerate(range(0, args.entries, PER_SHARD)):
        part = entries(start, min(PER_SHARD, args.entries - start), args.size)
        write_shard(place(at), shard_name(number), part)


def timed(name: str, count: int, work) -> None:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(f"{name:24s} {seconds:7.1f} s {memory():6.0f} MiB {count / seconds:9.0f} entries/s", flush=True)


def memory() -> float:
    """The most this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
