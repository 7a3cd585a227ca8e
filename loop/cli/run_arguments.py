"""The arguments of the verbs that make results of a run: `run`, `train` and `train-generator`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_config_arguments(parser: argparse.ArgumentParser, example: str) -> None:
    """config and words. example: a word, for the help."""
    parser.add_argument("config", type=Path, help="a YAML file, or a run folder to go on with")
    parser.add_argument("words", nargs="*", metavar="key=value", help=f"for example {example}")


def add_redo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--redo", action="store_true", help="yes, make results again that took long (the present ones are kept)"
    )
