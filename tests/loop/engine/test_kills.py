"""kill -9 at random moments, then the same command: the same bytes as a run nobody touched."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from loop.runs.run import run

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
ROOMS = [
    "prepare",
    "fit_matter",
    "label",
    "refine_cutouts",
    "fit_generator",
    "select_generator",
    "synthesize",
    "refine_pairs",
    "select",
    "evaluate",
    "accept",
    "compare",
]


def turn(folder: str, at_once: int) -> None:
    """The same command, in a process of its own. Its exit code is 0 only when the run is complete."""
    run(TINY, f"run.dir={folder}", f"launch.at_once={at_once}", *SETTINGS)
    os._exit(0)


SETTINGS = ["matter.first.steps=8", "matter.later.steps=8", "generator.fit.steps=8", "generator.fit.augment_p=0.3"]
SETTINGS += ["run.control=true", "refine.pairs=[portraits]", "refine.cutouts=[animals]", "refine.rules.max_half_seen=1"]


def records(folder: Path) -> dict[str, dict]:
    """Of committed steps: a kill may leave a whole result in a hidden folder, a rename short of being one."""
    files = [path for path in (folder / "rounds").rglob("stage.json") if not path.parent.name.startswith(".")]
    found = {path.parent: json.loads(path.read_text()) for path in files}
    return {str(path.relative_to(folder)): record for path, record in found.items()}


def start(server: multiprocessing.context.ForkServerContext, folder: Path, at_once: int) -> multiprocessing.Process:
    process = server.Process(target=turn, args=(str(folder), at_once))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("at_once", "wanted"), [(1, 20), (2, 6)])
def test_kills_at_random_moments_change_nothing(tmp_path: Path, at_once: int, wanted: int) -> None:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([f"loop.stages.{room}" for room in ROOMS])
    unbroken = start(server, tmp_path / "unbroken", at_once)
    began = time.monotonic()
    unbroken.join()
    whole = time.monotonic() - began
    assert unbroken.exitcode == 0
    expected = {step: record["outputs"] for step, record in records(tmp_path / "unbroken").items()}

    chance, kills, finished = random.Random(0), 0, 0
    while kills < wanted or not finished:
        folder = tmp_path / f"broken{finished}"
        made: dict[str, str] = {}
        while True:
            process = start(server, folder, at_once)
            if kills < wanted:
                process.join(chance.uniform(0.02, 0.35) * whole)
            else:
                process.join()
            if process.exitcode is None:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                kills += 1
                now = {step: record["finished"] for step, record in records(folder).items()}
                assert made.items() <= now.items(), "a finished stage was made again"
                made = now
                continue
            assert process.exitcode == 0
            break
        finished += 1
        assert {step: record["outputs"] for step, record in records(folder).items()} == expected
        assert not [path for path in (folder / "rounds").rglob(".*")], "leftovers"
    print(f"{kills} kills over {finished} runs of {whole:.0f} s")
