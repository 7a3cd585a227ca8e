"""An experiment of two arms x two seeds runs, is stopped, is killed, goes on, and says what the unbroken one says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.experiments import run
from stylematte.errors import ConfigError

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
WORDS = ["matter.first.steps=40", "matter.first.tick=2", "matter.first.batch=4", "matter.first.warmup=2"]
ARMS = ["alpha", "known-only"]
RUNS = [(arm, seed) for seed in range(2) for arm in ARMS]


def command(out: Path) -> list[str]:
    words = ["experiment", "without-alpha", str(TINY), "--seeds", "2", "--arms", ",".join(ARMS), "-o", str(out), *WORDS]
    return [sys.executable, "-m", "loop", *words]


def start(out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command(out), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_fit(process: subprocess.Popen[str], out: Path, arm: str, seed: int) -> None:
    """Until that run's fit has written a checkpoint."""
    until = time.monotonic() + 120
    while not list((out / "runs" / arm / str(seed)).glob("rounds/00/.fit_matter.*/*.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.005)


def finished(out: Path) -> dict[str, int]:
    """Every committed step's record -> when it was written, in nanoseconds."""
    return {str(file.relative_to(out)): file.stat().st_mtime_ns for file in out.glob("runs/*/*/rounds/00/*/stage.json")}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("experiments") / "unbroken"
    found = run("without-alpha", TINY, WORDS, seeds=2, arms=ARMS, out=out)
    assert {(row.group, row.arm) for row in found.rows} == {(g, a) for g in ("portraits", "animals") for a in ARMS}
    return out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_stopped_and_killed_it_goes_on_and_says_the_same(unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    process = start(out)
    wait_for_fit(process, out, *RUNS[0])
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 75, printed
    assert "to go on: " in printed
    process = start(out)
    wait_for_fit(process, out, *RUNS[1])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    arm, seed = RUNS[1]
    before = finished(out)
    assert "runs/alpha/0/rounds/00/evaluate/stage.json" in before
    assert not (out / "runs" / arm / str(seed) / "rounds/00/fit_matter").exists()
    again = subprocess.run(command(out), cwd=ROOT, text=True, capture_output=True, check=True)
    assert "run 4 of 4: known-only, seed 1" in again.stderr
    assert before.items() <= finished(out).items(), "a finished step was made again"
    for name in ("table.json", "table.md", "plot.svg"):
        assert (out / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_finished_runs_cost_nothing_and_every_run_is_an_ordinary_one(unbroken: Path, capsys) -> None:
    before = finished(unbroken)
    events = []
    run("without-alpha", TINY, WORDS, seeds=2, arms=ARMS, out=unbroken, listen=lambda job, event: events.append(event))
    assert {event.kind for event in events} == {"fresh"}
    assert finished(unbroken) == before
    assert main(["status", str(unbroken / "runs/alpha/1")]) == 0
    assert "3 of 4 steps done" in capsys.readouterr().out  # accept is not asked for
    assert (unbroken / "runs/alpha/1/report.html").is_file()


def test_an_arm_learns_from_its_label_alone(unbroken: Path) -> None:
    sources = {}
    for arm in ARMS:
        record = json.loads((unbroken / f"runs/{arm}/0/rounds/00/fit_matter/stage.json").read_text())
        sources[arm] = record["metrics"]["sources"]
        prepared = [unbroken / f"runs/{arm}/{seed}/rounds/00/prepare/index.jsonl" for seed in range(2)]
        assert len({file.stat().st_ino for file in prepared}) == 1, "copied instead of linked"
    assert sources["alpha"] == {"portraits/labelled": 8, "animals/labelled": 8}
    assert sources["known-only"] == {"portraits/mask": 8, "animals/mask": 8}
    heldout = (unbroken / "runs/known-only/0/rounds/00/evaluate/per_picture.jsonl").read_text().splitlines()
    assert {json.loads(row)["kind"] for row in heldout} == {"alpha"}


def test_more_seeds_and_arms_may_come_other_settings_may_not(unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"was asked with matter\.first\.lr=0\.002, now 0\.1: give .* -o such as"):
        run("without-alpha", TINY, [*WORDS, "matter.first.lr=0.1"], seeds=2, arms=ARMS, out=unbroken)
    with pytest.raises(ConfigError, match="has name without-alpha, now matter-variants"):
        run("matter-variants", TINY, WORDS, seeds=1, arms=["fpn"], out=unbroken)
    with pytest.raises(ConfigError, match="no arm 'alfa' in without-alpha, there are: alpha, "):
        run("without-alpha", TINY, WORDS, arms=["alfa"], out=tmp_path)
    with pytest.raises(ConfigError, match=r"mask_as=alpha': is what the arms differ in \(arm paper sets it\)"):
        run("without-alpha", TINY, [*WORDS, "data.mask_as=alpha"], out=tmp_path)
    with pytest.raises(ConfigError, match=r"'run\.seed=3': the experiment sets it; use --seeds and -o"):
        run("without-alpha", TINY, [*WORDS, "run.seed=3"], out=tmp_path)
    assert not list(tmp_path.iterdir())
    asked = json.loads((unbroken / "experiment.json").read_text())
    assert list(asked["arms"]) == ARMS
    found = run("without-alpha", TINY, WORDS, seeds=1, arms=["mask-as-alpha"], out=unbroken)
    arms = [row.arm for row in found.rows if (row.group, row.metric) == ("animals", "SAD")]
    assert arms == ["alpha", "mask-as-alpha", "known-only"]


def test_the_command_lists_and_prints(unbroken: Path, capsys) -> None:
    assert main(["experiment"]) == 0
    assert "What are labels short of an alpha worth?" in capsys.readouterr().out
    words = ["experiment", "without-alpha", str(TINY), "--seeds", "1", "--arms", "alpha", "-o", str(unbroken), *WORDS]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["control"] == "alpha"
    assert main(["experiment", "without-alpha", "--seeds", "0"]) == 2
    assert "expected 1 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["experiment", "without-alpha", "--seed=3", "--nonsense"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_a_given_trimap_is_measured_for_the_arm_that_learned_to_use_one(tmp_path: Path) -> None:
    words = [*WORDS, "matter.first.steps=2", "matter.network.channels=64"]
    found = run("matter-variants", TINY, words, seeds=1, arms=["fpn", "detail-trimap"], out=tmp_path)
    groups = {row.group for row in found.rows if row.arm == "detail-trimap"}
    assert groups == {"portraits", "animals", "portraits, given a trimap", "animals, given a trimap"}
    assert {row.group for row in found.rows if row.arm == "fpn"} == {"portraits", "animals"}


def test_a_diverged_fit_is_a_result_and_not_an_error(tmp_path: Path) -> None:
    wild = ["matter.first.lr=1", "matter.first.clip=0", "matter.first.weight_decay=1000000"]
    found = run("without-alpha", TINY, [*WORDS, *wild], seeds=1, arms=["alpha"], out=tmp_path)
    assert list(found.stopped) == ["alpha, seed 0"]
    assert "fit_matter: " in found.stopped["alpha, seed 0"]
    assert found.rows == []
