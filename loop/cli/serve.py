"""`stylematte serve RUNS_DIR`: live pages of the runs in a folder, steering, review of pairs, a queue, matting."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from stylematte.errors import ConfigError

NEEDS = ("fastapi", "uvicorn", "jinja2", "prometheus_client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", type=Path, metavar="RUNS_DIR", help="a folder whose folders are runs")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; wider than loopback needs a token")
    parser.add_argument("--port", type=int, default=8080, help="(default: 8080; 0: any that is free)")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="who knows what it holds may write (or: STYLEMATTE_TOKEN)"
    )
    parser.add_argument("--devices", default="auto", help="that the queue shares: auto, cpu, or GPUs such as 0,1")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="configurations of your own for the queue")


def main(args: argparse.Namespace) -> int:
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"`stylematte serve` needs {', '.join(missing)}: pip install 'stylematte[serve]'")
    from loop.serve.devices import devices
    from loop.serve.server import serve
    from loop.serve.settings import Settings, read_token

    token = read_token(args.token_file)
    settings = Settings(args.runs, args.host, args.port, token, devices(args.devices), args.configs)

    def ready(address: str) -> None:
        may = "who has the token may write" if token else "read-only: set STYLEMATTE_TOKEN to steer"
        print(f"{args.runs} at {address} ({may}); devices of the queue: {', '.join(settings.devices)}", flush=True)

    serve(settings, ready)
    return 0
