"""`stylematte build-dataset CONFIG [key=value ...]`: from a generator to a data set of foregrounds and alphas."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from loop.cli.bars import bar
from stylematte.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="a YAML file, such as configs/datasets/drawn.yaml")
    parser.add_argument("words", nargs="*", metavar="key=value", help="for example out=sets/one count=20000")
    parser.add_argument("--rank", type=int, help="of this process over all nodes (default: RANK of the environment)")
    parser.add_argument("--world", type=int, help="processes over all nodes (default: WORLD_SIZE, else 1)")
    parser.add_argument("--generators", action="store_true", help="list the generators that are installed")


def main(args: argparse.Namespace) -> int:
    from loop.datasets.build import build_dataset
    from loop.datasets.config import load_dataset_config
    from loop.datasets.registry import generator_names

    if args.generators:
        print("\n".join(generator_names()))
        return 0
    if args.config is None:
        raise ConfigError("name a configuration, such as configs/datasets/drawn.yaml, or say --generators")
    config = load_dataset_config(args.config, args.words)
    rank = args.rank if args.rank is not None else int(os.environ.get("RANK", "0"))
    world = args.world if args.world is not None else int(os.environ.get("WORLD_SIZE", "1"))
    built = build_dataset(config, rank, world, track=bar("making shards"))
    if built.missing:
        print(f"rank {rank} of {world} is done; {built.missing} shards may still be missing of the others'")
        print("when they are done, type the command of rank 0 again: it releases the data set")
        return 0
    if rank:
        print(f"rank {rank} of {world} is done; rank 0 releases the data set")
        return 0
    print(f"{built.pairs} pairs in {config.out}, of {built.candidates} candidates ({built.refused} refused)")
    print(f"card: {Path(config.out) / 'README.md'}")
    return 0
