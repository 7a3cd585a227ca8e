"""A damaged checkpoint: the one before is taken, else the fit begins anew; one warning, and the same weights."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import loop
from loop.cli.main import main
from loop.engine.execute import Event
from loop.engine.signals import Stopped
from loop.fitting.checkpoints import DIGESTS, LAST, PARTIAL, PREVIOUS, Start, damaged, forget, keep, start

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
NOISE = bytes(range(256)) * 40


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def other_kind(path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(3)}}, path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "noise": lambda path: path.write_bytes(NOISE),
    "another kind": other_kind,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a folder": folder,
}


def tick(scratch: Path, text: str, before: Path | None) -> Path:
    (scratch / PARTIAL).write_text(text)
    keep(scratch, before, "snapshots")
    return scratch / LAST


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    assert start(tmp_path) == Start(None)
    tick(tmp_path, "three", tick(tmp_path, "two", tick(tmp_path, "one", None)))
    assert [(tmp_path / name).read_text() for name in (LAST, PREVIOUS)] == ["three", "two"]
    assert start(tmp_path) == Start(tmp_path / LAST)
    assert damaged(tmp_path) == []


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_last_one_gives_way_to_the_one_before(tmp_path: Path, how: str) -> None:
    tick(tmp_path, "two" * 99, tick(tmp_path, "one" * 99, None))
    DAMAGE[how](tmp_path / LAST)
    found = start(tmp_path)
    assert found.checkpoint == tmp_path / PREVIOUS
    assert found.warning == f"{tmp_path / LAST} is damaged: the fit goes on from the checkpoint before it"
    assert damaged(tmp_path) == [tmp_path / LAST]
    tick(tmp_path, "two again", found.checkpoint)  # the sound one is not replaced by the damaged one
    assert [(tmp_path / name).read_text() for name in (LAST, PREVIOUS)] == ["two again", "one" * 99]
    assert start(tmp_path) == Start(tmp_path / LAST)
    DAMAGE[how](tmp_path / LAST)
    DAMAGE[how](tmp_path / PREVIOUS)
    assert start(tmp_path) == Start(None, f"{tmp_path / LAST} is damaged: the fit begins anew")
    forget(tmp_path, "snapshots")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("died_at", range(6))
def test_killed_while_keeping_the_newest_whole_one_is_found(
    tmp_path: Path, died_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice at the same place, so that digests of a checkpoint that never came are there, too."""

    class Died(BaseException):
        pass

    before = tick(tmp_path, "two", tick(tmp_path, "one", None))
    for _ in range(2):
        calls = iter(range(99))

        def deadly(function: Callable[..., object], calls: object = calls) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                if next(calls) >= died_at:  # type: ignore[call-overload]
                    raise Died
                return function(*arguments)

            return call

        with monkeypatch.context() as patch:
            for name in ("replace", "fsync"):
                patch.setattr(os, name, deadly(getattr(os, name)))
            with suppress(Died):
                tick(tmp_path, "three", before)
        found = start(tmp_path)
        assert found.checkpoint is not None
        assert found.warning == ""
        assert found.checkpoint.read_text() in {"two", "three"}
        before = found.checkpoint


def test_a_damaged_snapshot_begins_anew_and_a_damaged_curve_is_said(tmp_path: Path) -> None:
    (tmp_path / "snapshots/00001").mkdir(parents=True)
    (tmp_path / "snapshots/00001/G.safetensors").write_text("weights")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    tick(tmp_path, "one", None)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2}\n')  # after the tick
    assert start(tmp_path, "snapshots") == Start(tmp_path / LAST)
    flip(tmp_path / "metrics.jsonl")
    flip(tmp_path / "metrics.jsonl")
    assert start(tmp_path, "snapshots") == Start(tmp_path / LAST)
    (tmp_path / "metrics.jsonl").write_text('{"step": 7}\n')
    said = f"{tmp_path / 'metrics.jsonl'} is damaged: the curve of this fit cannot be trusted"
    assert start(tmp_path, "snapshots") == Start(tmp_path / LAST, said)
    flip(tmp_path / "snapshots/00001/G.safetensors")
    assert start(tmp_path, "snapshots").checkpoint is None
    assert len(damaged(tmp_path)) == 2


def test_a_checkpoint_of_an_earlier_version_counts_by_its_own_checksums(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(1000.0)}, tmp_path / LAST)
    assert start(tmp_path) == Start(tmp_path / LAST)
    flip(tmp_path / LAST)
    assert start(tmp_path).checkpoint is None


@pytest.mark.parametrize("line", range(2))
def test_a_damaged_digest_costs_a_tick_at_most(tmp_path: Path, line: int) -> None:
    tick(tmp_path, "two", tick(tmp_path, "one", None))
    lines = (tmp_path / DIGESTS).read_text().splitlines()
    lines[line] = "0" + lines[line][1:] if lines[line][0] != "0" else "1" + lines[line][1:]
    (tmp_path / DIGESTS).write_text("\n".join(lines))
    assert start(tmp_path).checkpoint == tmp_path / (PREVIOUS if line == 0 else LAST)


WORDS = ("matter.first.steps=12", "matter.first.tick=3", "tracking.wandb=disabled")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a fit that nothing happened to."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    loop.train_matter(TINY, f"run.dir={run}", *WORDS)
    return (run / "rounds/00/fit_matter/matter.safetensors").read_bytes()


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, stopped after three of its four ticks."""
    run = tmp_path_factory.mktemp("half") / "run"

    def stop(event: Event) -> None:
        if event.step.stage == "fit_matter" and event.kind == "progress" and event.progress.done > 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loop.engine.heartbeat.INTERVAL", 0.0)  # every step is heard
        with pytest.raises(Stopped):
            loop.train_matter(TINY, f"run.dir={run}", *WORDS, on_event=stop)
    return run


@pytest.mark.parametrize(("how", "both"), [*((how, False) for how in DAMAGE), ("a flipped bit", True)])
def test_it_ends_with_the_weights_of_the_unbroken_run(
    half: Path, unbroken: bytes, tmp_path: Path, how: str, both: bool
) -> None:
    run = Path(shutil.copytree(half, tmp_path / "run"))
    (scratch,) = run.glob("rounds/00/.fit_matter.*")
    for name in (LAST, PREVIOUS) if both else (LAST,):
        DAMAGE[how](scratch / name)
    lines: list[str] = []

    def hear(event: Event) -> None:
        if event.kind == "warning":
            lines.append(event.line())

    loop.train_matter(TINY, f"run.dir={run}", *WORDS, on_event=hear)
    (line,) = lines
    assert line.endswith("the fit begins anew" if both else "the fit goes on from the checkpoint before it")
    assert (run / "rounds/00/fit_matter/matter.safetensors").read_bytes() == unbroken


def test_verify_names_a_damaged_checkpoint(half: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(half, tmp_path / "run"))
    assert main(["verify", str(run)]) == 0
    assert "1 results, 0 earlier ones and 2 checkpoints read: nothing is damaged" in capsys.readouterr().out
    (scratch,) = run.glob("rounds/00/.fit_matter.*")
    flip(scratch / PREVIOUS)
    assert main(["verify", str(run)]) == 3
    line = capsys.readouterr().out.splitlines()[0]
    assert line == f"{(scratch / PREVIOUS).relative_to(run)}: damaged: not what was written; the fit will not use it"


@pytest.mark.timeout(600)
def test_a_fit_in_a_process_of_its_own_warns_as_well(half: Path, unbroken: bytes, tmp_path: Path) -> None:
    run = Path(shutil.copytree(half, tmp_path / "run"))
    (scratch,) = run.glob("rounds/00/.fit_matter.*")
    flip(scratch / LAST)
    lines: list[str] = []

    def hear(event: Event) -> None:
        if event.kind == "warning":
            lines.append(event.text)

    loop.train_matter(TINY, f"run.dir={run}", *WORDS, "launch.kind=torchrun", on_event=hear)
    (line,) = lines
    assert line.endswith("last.ckpt is damaged: the fit goes on from the checkpoint before it")
    assert (run / "rounds/00/fit_matter/matter.safetensors").read_bytes() == unbroken
