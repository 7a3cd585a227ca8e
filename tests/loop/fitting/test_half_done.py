"""One flipped bit in each file of a half-done generator fit: said or of no use, and the weights come out the same.

The bit flips as a disk flips it: sizes and times stay. tests/loop/cli/test_verify.py has the files of finished runs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch

import loop
from loop.cli.main import main
from loop.engine.execute import Event
from loop.engine.signals import Stopped
from loop.engine.stage import Damaged
from stylematte.imagefile import write_rgba

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
WORDS = ("generator.fit.steps=8", "generator.fit.snapshots=2", "generator.fit.pseudo_share=0")
SCRATCH, PICTURES = "rounds/00/hats/.fit_generator.", "rounds/00/hats/gather_cutouts/"

VIEWS = ("manifest.json", "live.json", "provenance.jsonl")
UNREAD = ("config.yaml", "previous.ckpt", "heartbeat", *VIEWS, ".digests.json")
"""What this call does not go by (`run RUN` refuses a damaged config.yaml); `verify` names the first two."""


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cutouts") / "hats"
    generator = torch.Generator().manual_seed(0)
    for number in range(2):
        write_rgba(folder / f"{number}.png", torch.rand(4, 40, 50, generator=generator))
    return folder


def fit(run: Path, cutouts: Path, stop_after: int = 99) -> list[str]:
    """The warnings. Raises Stopped at the end of the tick of step `stop_after`."""
    lines: list[str] = []

    def hear(event: Event) -> None:
        if event.kind == "warning":
            lines.append(event.text)
        if event.step.stage == "fit_generator" and event.kind == "progress" and event.progress.done >= stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loop.engine.heartbeat.INTERVAL", 0.0)  # every step is heard
        loop.fit_generator(TINY, f"run.dir={run}", *WORDS, cutouts=cutouts, on_event=hear)
    return lines


def weights(run: Path) -> dict[str, bytes]:
    made = run / "rounds/00/hats/fit_generator"
    return {str(file.relative_to(made)): file.read_bytes() for file in made.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def unbroken(cutouts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert fit(run, cutouts) == []
    return weights(run)


@pytest.fixture(scope="module")
def half(cutouts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped after three of four ticks; its snapshot is of the second."""
    run = tmp_path_factory.mktemp("half") / "run"
    with pytest.raises(Stopped):
        fit(run, cutouts, stop_after=5)
    return run


def flip(file: Path) -> None:
    data, info = bytearray(file.read_bytes()), file.stat()
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))


def files(run: Path) -> list[str]:
    """One of each kind: names that differ in digits, or in the network, are of one."""
    found = [path.relative_to(run).as_posix() for path in sorted(run.rglob("*")) if path.is_file()]
    kinds = {re.sub(r"\d+\.png|(G|D)\.safe", "#", name): name for name in found if (run / name).stat().st_size}
    return list(kinds.values())


def test_each_is_said_or_of_no_use_and_the_weights_are_the_same(
    half: Path, cutouts: Path, unbroken: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = files(half)
    for part in ("last.ckpt", "previous.ckpt", "digests.txt", "metrics.jsonl", "launch/heartbeat", "G_ema.safetensors"):
        assert any(name.startswith(SCRATCH) and name.endswith(part) for name in names), part
    unread = [name for name in names if name.endswith(UNREAD)]
    assert len(unread) == len(UNREAD)
    run = Path(shutil.copytree(half, tmp_path / "unread"))
    for name in unread:
        flip(run / name)
    assert main(["verify", str(run)]) == 3
    said = capsys.readouterr().out
    assert [line.partition(": ")[0].rpartition("/")[2] for line in said.splitlines()[:2]] == list(UNREAD[:2])
    assert fit(run, cutouts) == []
    assert weights(run) == unbroken
    for number, name in enumerate(sorted({*names} - {*unread})):
        run = Path(shutil.copytree(half, tmp_path / str(number)))
        flip(run / name)
        assert main(["verify", str(run)]) == 3, name
        try:
            lines = fit(run, cutouts)
        except Damaged as error:  # an input that changes after it was looked at: the next call makes it again
            assert name.startswith(PICTURES)
            lines = [str(error), *fit(run, cutouts)]
        assert weights(run) == unbroken, name
        if name.startswith(PICTURES):
            assert all("gather_cutouts is damaged" in line for line in lines), name
            assert 1 <= len(lines) <= 2, name
            continue
        (line,) = lines
        assert line.endswith(
            "the fit begins anew"
            if "/snapshots/" in name or name.endswith("digests.txt")  # whose middle is of a snapshot
            else "the curve of this fit cannot be trusted"
            if name.endswith("metrics.jsonl")
            else "last.ckpt is damaged: the fit goes on from the checkpoint before it"
        ), name
