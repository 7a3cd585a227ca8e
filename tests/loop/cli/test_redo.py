"""An override on a finished run changes nothing without consent; the results it replaces come back; gc removes them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.engine import consent
from loop.engine.lock import one_writer
from loop.plan import plan
from loop.runs.redo import duration

CHANGED = "matter.later.losses.l1=0.5"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run that asks about every second."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    assert main(["run", str(folder), "launch.ask_above=0"]) == 0
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def results(folder: Path) -> dict[str, str]:
    return digests(folder / "rounds")


def test_without_consent_nothing_changes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(run)
    capsys.readouterr()
    assert main(["run", str(run), CHANGED]) == 2
    assert digests(run) == before
    lines = capsys.readouterr().err.splitlines()
    was = json.loads((run / "rounds/01/fit_matter/stage.json").read_text())["config"]["fit"]["losses"]["l1"]
    assert lines[0] == f"results that may be made again (matter.later.losses.l1: {was} -> 0.5):"
    assert [line.split()[0] for line in lines[1:-1]] == ["01/fit_matter", "01/evaluate", "01/accept"]
    assert lines[1].endswith(f"fit.losses.l1: {was} -> 0.5")
    assert lines[-1].startswith("stylematte: nothing was changed: 3 results that took ")
    assert "--redo" in lines[-1]


def test_redo_makes_it_the_old_words_bring_the_old_back_and_gc_empties(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results(run)
    was = json.loads((run / "rounds/01/fit_matter/stage.json").read_text())["config"]["fit"]["losses"]["l1"]
    assert main(["run", str(run), CHANGED, "--redo"]) == 0
    after = results(run)
    assert after["01/fit_matter/matter.safetensors"] != before["01/fit_matter/matter.safetensors"]
    assert {name for name in before if before[name] != after[name]} <= {name for name in before if name[:2] == "01"}
    assert not (run / ".consent.json").exists()

    capsys.readouterr()
    assert main(["run", str(run), f"matter.later.losses.l1={was}"]) == 0
    assert results(run) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("[")]
    assert len(lines) == 3
    assert all("its earlier result is back (finished" in line for line in lines)

    assert main(["gc", str(run), "--dry-run", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["step"] for row in listed["kept"]} == {"01/fit_matter", "01/evaluate", "01/accept"}
    assert listed["removed"] is False
    assert (run / "kept").is_dir()
    assert main(["gc", str(run)]) == 0
    megabytes = sum(row["bytes"] for row in listed["kept"]) / 1e6
    assert capsys.readouterr().out.splitlines()[-1] == f"removed 3 earlier results, {megabytes:.1f} MB"
    assert not (run / "kept").exists()
    assert results(run) == before
    assert main(["gc", str(run)]) == 0
    assert capsys.readouterr().out == "nothing is kept\n"


def test_what_costs_nothing_asks_nothing(run: Path) -> None:
    before = results(run)
    assert main(["run", str(run), "launch.stop_grace=7", "launch.retries=5", "tracking.project=other"]) == 0
    assert results(run) == before
    assert main(["run", str(run), "run.rounds=2"]) == 0
    after = results(run)
    assert before.items() <= after.items()
    assert "02/accept/verdict.json" in after


def test_a_stopped_redo_goes_on_without_being_asked_again(run: Path) -> None:
    config = load_config(run / "config.yaml", [CHANGED])
    consent.give(run, plan(config, fingerprints(config, run)))  # as the run did that was stopped
    assert main(["run", str(run), "matter.later.losses.l1=0.25"]) == 2, "another plan is another question"
    assert main(["run", str(run), CHANGED]) == 0
    assert main(["run", str(run), "matter.later.losses.l1=0.25"]) == 2, "the plan is carried out"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("\n", 2), ("no\n", 2), ("y\n", 0)])
def test_a_yes_on_a_terminal_is_enough(run: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["run", str(run), "accept.margin=0.07"]) == code
    assert ("margin: 0.07" in (run / "config.yaml").read_text()) is (code == 0)


def test_with_json_nobody_is_asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert main(["run", str(run), "accept.margin=0.07", "--json"]) == 2


def test_gc_is_refused_while_a_run_writes(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold = (
        "import sys; from pathlib import Path; from loop.engine.lock import one_writer\n"
        "with one_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    command = [sys.executable, "-c", hold, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert main(["gc", str(run)]) == 1
        assert f"is in use by process {other.pid}" in capsys.readouterr().err
        other.communicate()
    with one_writer(run):
        assert main(["gc", str(run)]) == 0


def test_durations_read_well() -> None:
    assert [duration(s) for s in (1.23, 99, 270, 7.1 * 3600)] == ["1.2 s", "99.0 s", "4.5 min", "7.1 h"]
