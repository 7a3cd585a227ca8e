"""`stylematte doctor [CONFIG]`: what this machine has, as a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.config.load import load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="also check the data folder and weights it names")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--ops", action="store_true", help="build the generator's C++ and CUDA operations and measure them"
    )
    parser.add_argument(
        "--gpu-check",
        action="store_true",
        help="compare the generator's CUDA operations with the reference: pass or failed",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    from loop.doctor import diagnose, gpu_check

    if args.gpu_check:
        return 0 if gpu_check(print) else 1
    checks = diagnose(None if args.config is None else load_config(args.config, args.overrides), args.ops)
    broken = any(check.state == "problem" for check in checks)
    if args.json:
        print(json.dumps([{"check": c.name, "state": c.state, "text": c.text} for c in checks], indent=2))
        return 1 if broken else 0
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("check", "", "found")
    colour = {"ok": "green", "note": "yellow", "problem": "red"}
    for name, state, text in checks:
        table.add_row(name, f"[{colour[state]}]{state}[/]", text)
    wide_console().print(table)
    return 1 if broken else 0
