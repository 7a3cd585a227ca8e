"""`stylematte pool stats|verify|dedup|split|export POOL`: pools of pairs in tar shards, on a disk or behind a URL."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from loop.cli.bars import bar
from stylematte.errors import ConfigError

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    texts = {
        "stats": "counts, sizes, licences, refusals and acceptance of prompts, from the indexes alone",
        "verify": "every shard against its index and its digest",
        "dedup": "near-duplicates by the hashes in the indexes; -o writes a pool without them",
        "split": "train and val; near-duplicates and frames of one clip stay together",
        "export": "the kept pairs as fg/KEY.png and alpha/KEY.png",
    }
    for name, text in texts.items():
        sub = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        sub.add_argument("pool", help="a folder of shards, a stage's folder, a plain folder of RGBA PNGs, or a URL")
        if name in ("stats", "verify", "dedup"):
            sub.add_argument("--json", action="store_true", help="machine-readable output")
        if name == "verify":
            sub.add_argument("--deep", action="store_true", help="decode every picture, too")
        if name in ("dedup", "split"):
            sub.add_argument("--per-shard", type=int, default=1000, help="entries of a shard (default 1000)")
        if name == "dedup":
            sub.add_argument("--near", type=int, default=6, help="differing bits of 128, at most (default 6)")
            sub.add_argument("-o", "--out", help="a new pool, folder or URL (default: list them)")
        if name == "split":
            sub.add_argument("--val", type=float, default=0.05, help="share of val (default 0.05)")
            sub.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
            sub.add_argument("-o", "--out", required=True, help="folder or URL: train/ and val/ are made in it")
        if name == "export":
            sub.add_argument("-o", "--out", type=Path, required=True, help="folder")


def main(args: argparse.Namespace) -> int:
    doors = {"stats": _stats, "verify": _verify, "dedup": _dedup, "split": _split, "export": _export}
    return doors[args.what](args)


def _stats(args: argparse.Namespace) -> int:
    from stylematte.pools.pool import open_pool
    from stylematte.pools.statistics import statistics

    found = statistics(open_pool(args.pool))
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"{found['entries']} entries in {found['shards']} shards, {found['bytes'] / 2**20:.1f} MiB")
    print(f"kept {found['kept']}, refused {found['refused']}")
    if found["foreground"]:
        print("foreground: " + ", ".join(f"{name} {value:.3f}" for name, value in found["foreground"].items()))
    for name, counts in found["counts"].items():
        print(f"{name}: " + ", ".join(f"{word} {count}" for word, count in list(counts.items())[:SHOWN]))
    for name, cell in found["cells"].items():
        print(f"{name}: {cell['kept']} of {cell['drawn']} kept")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from stylematte.pools.pool import open_pool
    from stylematte.pools.verify import verify

    found = verify(open_pool(args.pool), args.deep, bar("verifying"))
    if args.json:
        print(json.dumps({"entries": found.entries, "problems": found.problems}, indent=2))
    else:
        print("".join(f"{line}\n" for line in found.problems[:SHOWN]), end="")
        print(
            f"{found.entries} entries, " + (f"{len(found.problems)} problems" if found.problems else "all as written")
        )
    return 3 if found.problems else 0


def _dedup(args: argparse.Namespace) -> int:
    from stylematte.pools.place import place
    from stylematte.pools.pool import open_pool
    from stylematte.pools.rewrite import without_duplicates, write_pool

    if not 0 <= args.near <= 32:
        raise ConfigError(f"--near {args.near}: expected 0 to 32 of 128 bits")
    pool = open_pool(args.pool)
    twins, rows = without_duplicates(pool, args.near)
    if args.json:
        print(json.dumps(twins, indent=1))
    else:
        lines = [f"{twin['key']} is a near-duplicate of {twin['of']}" for twin in twins[:SHOWN]]
        print("".join(f"{line}\n" for line in lines), end="")
        print(f"{len(twins)} near-duplicates")
    if args.out:
        count = write_pool(pool, rows, place(_new(args.pool, args.out)), _per_shard(args))
        if not args.json:
            print(f"{count} entries in {args.out}")
    return 0


def _split(args: argparse.Namespace) -> int:
    from stylematte.pools.pool import open_pool
    from stylematte.pools.rewrite import split_pool

    if not 0 <= args.val < 1:
        raise ConfigError(f"--val {args.val}: expected a share from 0 to below 1")
    out = _new(args.pool, args.out)
    counts = split_pool(open_pool(args.pool), out, args.val, args.seed, _per_shard(args))
    print(f"{counts['train']} entries in {out}/train, {counts['val']} in {out}/val")
    return 0


def _export(args: argparse.Namespace) -> int:
    from stylematte.pools.pool import open_pool
    from stylematte.pools.rewrite import export_files

    pool = open_pool(args.pool)
    rows: Any = export_files(pool, pool.entries(kept_only=True), args.out)
    print(f"{sum(1 for _ in rows)} pairs in {args.out}/fg and {args.out}/alpha")
    return 0


def _new(pool: str, out: str) -> str:
    """Raises ConfigError for the pool itself."""
    if out.rstrip("/") == pool.rstrip("/"):
        raise ConfigError(f"-o {out}: is the pool itself; name another folder")
    return out


def _per_shard(args: argparse.Namespace) -> int:
    if args.per_shard < 1:
        raise ConfigError(f"--per-shard {args.per_shard}: expected 1 or more")
    return int(args.per_shard)
