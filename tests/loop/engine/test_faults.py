"""What goes wrong in a real run, and that nothing is lost by it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from loop.cli.main import main
from stylematte.data.drawn.dataset import write_manifest_folder

ROOT = Path(__file__).parents[3]
TINY = str(ROOT / "configs" / "tiny.yaml")


def listed(root: Path) -> list[dict[str, str]]:
    with (root / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def metrics(run: Path, step: str) -> dict:
    return json.loads((run / "rounds" / step / "stage.json").read_text())["metrics"]


def test_a_matter_that_diverges_falls_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["run", TINY, f"run.dir={run}", "matter.later.losses.l1=1e39"]) == 0
    assert metrics(run, "01/fit_matter")["diverged"].startswith("loss term 'total' became inf at step")
    assert metrics(run, "01/accept")["accepted"] is False
    assert "the fit stopped: loss term 'total'" in capsys.readouterr().err
    went_on, first = (load_file(run / f"rounds/{step}/matter.safetensors") for step in ("01/accept", "00/fit_matter"))
    assert all(torch.equal(went_on[key], first[key]) for key in first)


def test_a_generator_that_diverges_leaves_the_round_without_pairs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["run", TINY, f"run.dir={run}", "generator.fit.r1_gamma=1e39"]) == 0
    for domain in ("portraits", "animals"):
        assert "became" in metrics(run, f"01/{domain}/fit_generator")["diverged"]
        assert metrics(run, f"01/{domain}/select") == {"candidates": 0, "kept": 0, "refused": {}}
    assert set(metrics(run, "01/fit_matter")["sources"]) == {"portraits/labelled", "animals/labelled"}


def test_the_gate_stops_a_run_that_gets_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", TINY, f"run.dir={tmp_path / 'run'}", "matter.later.losses.l1=1e39", "accept.stop_after=1"]
    for _ in range(2):  # the second time nothing is made again, and the answer is the same
        assert main(words) == 4
        assert "1 rounds in a row were refused" in capsys.readouterr().err


def test_real_folders_hold_all_sorts_of_files(tmp_path: Path) -> None:
    root, run = tmp_path / "data", tmp_path / "run"
    write_manifest_folder(root, 48, alpha=4, pseudo_alpha=2, mask=2, none=8, backgrounds=3)
    photos = [root / row["file"] for row in listed(root) if row["kind"] == "none"]
    assert len(photos) == 16
    picture = Image.open(photos[0])
    picture.convert("L").save(photos[0])
    picture.convert("P").save(photos[1])
    Image.open(photos[2]).convert("I;16").save(photos[2])
    photos[3].write_bytes(photos[3].read_bytes()[:200])  # truncated
    photos[4].write_bytes(b"")
    photos[5].write_text("no picture")
    assert (
        main(
            ["run", TINY, f"run.dir={run}", f"data.root={root}", "matter.later.mask_share=0.5", "matter.later.batch=8"]
        )
        == 0
    )
    prepared = run / "rounds/00/prepare"
    left_out = [json.loads(line) for line in (prepared / "left_out.jsonl").read_text().splitlines()]
    assert {row["file"] for row in left_out} == {str(photo.relative_to(root)) for photo in photos[3:6]}
    assert metrics(run, "00/prepare")["left_out"] == 3
    page = (run / "report.html").read_text()
    assert all(row["file"] in page for row in left_out)


def test_every_photo_bad_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    write_manifest_folder(root, 48, alpha=3, none=2)
    for row in listed(root):
        (root / row["file"]).write_bytes(b"")
    words = ["run", TINY, f"run.dir={tmp_path / 'run'}", f"data.root={root}"]
    assert main(words) == 3
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "no usable picture for 'portraits'" in last


def start(run: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "loop", "run", TINY, f"run.dir={run}", "run.rounds=0", "matter.first.steps=400"]
    return subprocess.Popen([*command, *words], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def wait_for(run: Path, pattern: str, seconds: float = 120) -> Path:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = list((run / "rounds").glob(pattern)) if (run / "rounds").is_dir() else []
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{pattern} did not appear")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_stops_at_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    run = tmp_path / "run"
    process = start(run)
    wait_for(run, "00/.fit_matter.*/last.ckpt")
    refused = subprocess.run(start_words(run), cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1
    assert f"is in use by process {process.pid}" in refused.stderr
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 75
    assert "to go on: " in said.splitlines()[-1]
    assert list((run / "rounds").glob("00/.fit_matter.*/last.ckpt"))


def start_words(run: Path) -> list[str]:
    return [sys.executable, "-m", "loop", "run", TINY, f"run.dir={run}"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_rank_is_tried_again_and_a_stopped_one_stops_all(tmp_path: Path) -> None:
    words = (
        "launch.kind=torchrun",
        "launch.devices=2",
        "launch.accelerator=cpu",
        "matter.first.steps=120",
        "generator.fit.batch=8",
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole, *words).wait(timeout=250) == 0

    process = start(broken, *words)
    scratch = wait_for(broken, "00/.fit_matter.*/last.ckpt").parent
    killed = (scratch / "launch/pid.1").read_text()
    os.kill(int(killed), signal.SIGKILL)
    asked = time.time()
    wait_until(lambda: another(scratch / "launch/pid.1", killed), "the retry did not start")
    # Asked to stop before its handler is in place, a rank would simply die; a new checkpoint says that it is.
    wait_until(lambda: (scratch / "last.ckpt").stat().st_mtime > asked + 1, "the retry made no checkpoint")
    os.kill(int((scratch / "launch/pid.1").read_text()), signal.SIGTERM)
    said = process.communicate(timeout=250)[1]
    assert "attempt 2 of 3" in said
    assert process.returncode == 75, said
    assert start(broken, *words).wait(timeout=250) == 0
    one, two = (load_file(run / "rounds/00/accept/matter.safetensors") for run in (whole, broken))
    assert all(torch.equal(one[key], two[key]) for key in one)


def another(file: Path, previous: str) -> bool:
    return file.is_file() and file.read_text() not in ("", previous)


def wait_until(true: Callable[[], bool], otherwise: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, otherwise
        time.sleep(0.05)
