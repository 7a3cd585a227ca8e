"""Schemathesis against the service's own description: how many requests, and whether any was answered with a 5xx.

    pip install schemathesis          # in an environment of its own; it is no part of the tests'
    python -m benchmarks.serve_fuzz RUN [--examples 80] [--schemathesis PATH/TO/schemathesis]

RUN: a finished run; a copy of it is served, with a token, and steered and reviewed at random. Its queue is kept but not
carried out. Every answer is counted here, so the number does not rest on what the tool says of itself.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.serve.app import build_app
from loop.serve.settings import Settings

TOKEN = "token of the benchmark"
KNOWN = """
[parameters]
"path.run" = "tiny"
"query.round" = 1
"query.domain" = "portraits"
"""
"""What is there: half of the requests get beyond the names."""
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance"


class Counted:
    """ASGI: counts answers by their status."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.answers = app, Counter[int]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[message["status"]] += 1
            await send(message)

        await self.app(scope, receive, counted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--examples", type=int, default=80, help="of each route, at most")
    parser.add_argument("--schemathesis", default=shutil.which("schemathesis"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.schemathesis is None:
        sys.exit("no schemathesis here: pip install schemathesis, or say where it is with --schemathesis")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(args.run, Path(folder) / "runs" / "tiny")
        app = Counted(build_app(Settings(Path(folder) / "runs", token=TOKEN)))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        known = Path(folder) / "schemathesis.toml"
        known.write_text(KNOWN)
        target = ["run", f"http://127.0.0.1:{port}/openapi.json", "--checks", CHECKS, "--continue-on-failure"]
        target += ["-H", f"Authorization: Bearer {TOKEN}", "--request-timeout", "120"]
        target += ["--phases", "coverage,fuzzing", "--max-examples", str(args.examples), "--seed", str(args.seed)]
        codes = [
            subprocess.run([args.schemathesis, *config, *target], check=False).returncode
            for config in ([], ["--config-file", str(known)])
        ]
        server.should_exit = True
        thread.join()
    told = ", ".join(f"{status}: {count}" for status, count in sorted(app.answers.items()))
    wrong = sum(count for status, count in app.answers.items() if status >= 500)
    print(f"{sum(app.answers.values())} answers, {wrong} of them 5xx ({told}); schemathesis ended with {codes}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
