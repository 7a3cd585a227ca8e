"""What 200 people who watch a run cost its fit: errors, latency, and the fit's speed with and without them, in one run.

    python -m benchmarks.serve_load [--clients 200 --seconds 60 --every 1 --turns 4]

A service is started over a folder of its own, a run is submitted to its queue, and while that run fits its matter the
clients poll `/api/runs/RUN/live`, each over a connection of its own, as the page does. The time is cut in `turns` turns
with clients and as many without, one after the other, so that both see the same machine; a run's speed is the steps
that its live record counts. The clients are a process of low priority: elsewhere they would be other machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TOKEN = "token of the benchmark"
RUN = "watched"
WORDS = ["run.rounds=0", "matter.first.steps=1000000", "matter.first.tick=50"]
PATIENCE = 900.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0, help="of polling, all turns together")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two polls of a client")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--config", default="small.yaml", help="one that the queue knows")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        runs.mkdir()
        service, address = _service(runs)
        try:
            _measure(args, runs / RUN, service.pid, address)
        finally:
            _post(address, "/api/queue/1/cancel", {})
            _wait(lambda: _get(address, "/api/queue")["jobs"][0]["state"] != "running")
            service.terminate()
            service.wait()


def _measure(args: argparse.Namespace, run: Path, pid: int, address: str) -> None:
    _post(address, "/api/queue", {"run": RUN, "config": args.config, "words": WORDS})
    _wait(lambda: (_done(run) or 0) > 20)
    ours, theirs = Pipe()
    clients = Process(target=_clients, args=(theirs, address, args.clients, args.every), daemon=True)
    clients.start()
    turn = args.seconds / args.turns
    speeds: dict[bool, list[float]] = {True: [], False: []}
    latencies: list[float] = []
    errors = 0
    spent = -_cpu_seconds(pid)
    for polled in [False, True] * args.turns:
        if polled:
            ours.send(turn)
        speeds[polled].append(_speed(run, turn))
        if polled:
            more, wrong = ours.recv()
            latencies += more
            errors += wrong
    spent += _cpu_seconds(pid)
    clients.kill()
    latencies.sort()
    ratios = [with_ / without for with_, without in zip(speeds[True], speeds[False], strict=True)]
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    print(
        f"{args.clients} clients every {args.every:g} s, {args.seconds:g} s: {len(latencies)} answers, {errors} errors"
    )
    print(f"latency p50 {1000 * p50:.1f} ms, p99 {1000 * p99:.1f} ms, worst {1000 * latencies[-1]:.1f} ms")
    for polled, name in ((False, "alone"), (True, "watched")):
        print(f"the fit {name}: {', '.join(f'{speed:.2f}' for speed in speeds[polled])} steps/s")
    print(f"speed watched / alone: {statistics.mean(speeds[True]) / statistics.mean(speeds[False]):.3f} of the means")
    print(f"  by turns {', '.join(f'{ratio:.3f}' for ratio in ratios)}, median {statistics.median(ratios):.3f}")
    print(f"the service: {1000 * spent / max(len(latencies), 1):.2f} ms CPU an answer; load {os.getloadavg()[0]:.1f}")


def _service(runs: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "loop", "serve", str(runs), "--port", "0", "--devices", "cpu"]
    environment = {**os.environ, "STYLEMATTE_TOKEN": TOKEN, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    return service, service.stdout.readline().split(" at ")[1].split(" ")[0].rstrip("/")


def _post(address: str, path: str, body: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address + path, json.dumps(body).encode(), headers)).read()


def _get(address: str, path: str) -> Any:
    return json.loads(urllib.request.urlopen(address + path).read())


def _wait(is_so: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError("the fit did not begin")
        time.sleep(0.2)


def _done(run: Path) -> int | None:
    """Steps of the fit so far, and waits for the next record, so that two counts are whole seconds apart."""
    try:
        steps = json.loads((run / "live.json").read_text())["steps"]
        return next((int(step["done"] or 0) for step in steps if step["stage"] == "fit_matter"), None)
    except (OSError, ValueError):
        return None


def _speed(run: Path, seconds: float) -> float:
    """Steps a second, from one change of the record to the last before `seconds` are over."""
    first, begun = _changed(run)
    until = begun + seconds
    last, at = first, begun
    while time.monotonic() < until:
        last, at = _changed(run)
    return (last - first) / (at - begun)


def _changed(run: Path) -> tuple[int, float]:
    before = _done(run)
    while (found := _done(run)) == before or found is None:
        time.sleep(0.02)
    return found, time.monotonic()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _clients(pipe: Connection, address: str, count: int, every: float) -> None:
    os.nice(15)
    host, port = address.removeprefix("http://").split(":")
    while True:
        pipe.send(asyncio.run(_poll_all(host, int(port), count, every, pipe.recv())))


async def _poll_all(host: str, port: int, count: int, every: float, seconds: float) -> tuple[list[float], int]:
    found = await asyncio.gather(*(_client(host, port, every * n / count, every, seconds) for n in range(count)))
    return [latency for latencies, _ in found for latency in latencies], sum(errors for _, errors in found)


async def _client(host: str, port: int, first: float, every: float, seconds: float) -> tuple[list[float], int]:
    until = time.monotonic() + seconds
    await asyncio.sleep(first)
    request = f"GET /api/runs/{RUN}/live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    latencies: list[float] = []
    errors = 0
    reader = writer = None
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            errors += not head.startswith("http/1.1 200") or body["run"] != RUN
            latencies.append(time.monotonic() - begun)
        except (OSError, ValueError, EOFError):
            errors, writer = errors + 1, None
        await asyncio.sleep(max(0.0, every - (time.monotonic() - begun)))
    if writer is not None:
        writer.close()
    return latencies, errors


if __name__ == "__main__":
    main()
