"""`python -m tests.loop.toy_run RUN CALLS KIND SLEEP HOW`: a toy run that ends as the command does.

HOW: twelve (steps), beside (two domains' fits at the same time), fit (one, on two ranks), or hang (one that never
hears a signal).
"""

import sys
from dataclasses import replace
from pathlib import Path

from loop.cli.exit_codes import exit_code
from loop.engine.config import Launch, LaunchConfig
from loop.engine.execute import execute
from loop.engine.signals import Stopped
from loop.engine.step import Step

INLINE = LaunchConfig()
TOYS = "tests.loop.toy_stages"


def toy(id_: str, inputs: dict[str, str] | None = None, stage: str = "count", fit: bool = False, **config) -> Step:
    round_ = int(id_.split("/")[0])
    return Step(id_, f"{TOYS}.{stage}", round_, None, inputs or {}, config, seed=len(id_), fit=fit, version=1)


def twelve(calls: Path, sleep: float) -> list[Step]:
    """prepare, then per round label -> fit -> (sample, select_generator) ...; every kind of fan-in and fan-out."""
    common = {"calls": str(calls), "sleep": sleep}
    steps = [toy("00/prepare", word="w", **common)]
    before = "00/prepare"
    for round_ in (1, 2):
        here = f"{round_:02d}/d"
        steps += [
            toy(f"{here}/label", {"data": "00/prepare", "matter": before}, **common),
            toy(f"{here}/fit", {"labels": f"{here}/label"}, stage="ticks", calls=str(calls), sleep=sleep / 4, steps=8),
            toy(f"{here}/sample", {"g": f"{here}/fit"}, **common),
            toy(f"{here}/select_generator", {"g": f"{here}/fit", "labels": f"{here}/label"}, **common),
            toy(f"{here}/select", {"pool": f"{here}/sample", "matter": before}, **common),
        ]
        before = f"{here}/select"
    return [*steps, toy("02/accept", {"a": "01/d/select", "b": "02/d/select"}, **common)]


def two_domains(calls: Path, sleep: float) -> list[Step]:
    """prepare, then in each domain label -> fit -> select_generator, then accept."""
    common = {"calls": str(calls), "sleep": sleep}
    steps = [toy("00/prepare", word="w", **common)]
    for domain in ("p", "a"):
        here = f"01/{domain}"
        of_domain = [
            toy(f"{here}/label", {"data": "00/prepare"}, **common),
            toy(f"{here}/fit", {"labels": f"{here}/label"}, stage="ticks", fit=True, steps=8, **common),
            toy(f"{here}/select_generator", {"g": f"{here}/fit"}, **common),
        ]
        steps += [replace(step, domain=domain) for step in of_domain]
    return [*steps, toy("01/accept", {"a": "01/a/select_generator", "p": "01/p/select_generator"}, **common)]


def plan(how: str, calls: Path, sleep: float) -> list[Step]:
    if how == "fit":
        return [toy("00/fit", stage="ticks", fit=True, steps=100, sleep=0.05, calls=str(calls))]
    if how == "beside":
        return two_domains(calls, sleep)
    if how == "hang":
        return [toy("00/x", stage="trouble", how="hang", times=99)]
    return twelve(calls, sleep)


def main(run: str, calls: str, kind: str, sleep: str, how: str) -> int:
    launch = LaunchConfig(kind=Launch(kind), devices=2, stop_grace=5.0, heartbeat_timeout=20.0)
    if how == "beside":
        launch.devices, launch.at_once = 1, 2
    steps = plan(how, Path(calls), float(sleep))
    try:
        execute(Path(run), steps, launch, lambda event: print(event.line(), flush=True))
    except Stopped as stop:
        print(f"stopped: {stop}", flush=True)
        return 75
    except ValueError as error:
        print(f"error: {error}", flush=True)
        return exit_code(error) or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
