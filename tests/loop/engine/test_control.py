"""run.control=true on real runs: what it adds, what it leaves alone, and that it is fair."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import loop
from loop.cli.main import main
from loop.runs import gate
from stylematte.jsonl import read_jsonl


def record(run: Path, step: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "rounds" / step / "stage.json").read_text())
    return found


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def test_a_finished_run_gets_its_control_and_nothing_is_made_again(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored: list[dict[str, float]] = []
    monkeypatch.setattr(gate.RoundMirror, "log", lambda self, round_, metrics, *rest: mirrored.append(metrics))
    before = {path: path.stat().st_mtime_ns for path in (run / "rounds").rglob("stage.json")}
    assert main(["run", str(run), "run.control=true"]) == 0
    after = {path: path.stat().st_mtime_ns for path in (run / "rounds").rglob("stage.json")}
    assert before.items() <= after.items()
    made = {str(path.parent.relative_to(run / "rounds")) for path in after.keys() - before.keys()}
    assert made == {f"01/control/{stage}" for stage in ("fit_matter", "evaluate", "compare")}
    assert set(record(run, "01/control/fit_matter")["metrics"]["sources"]) == {"portraits/labelled", "animals/labelled"}
    assert record(run, "01/fit_matter")["metrics"]["sources"].keys() > {"portraits/labelled", "animals/labelled"}
    printed = capsys.readouterr().out
    assert "of the control (real pairs alone)" in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 80  # the last one is a path
    (metrics,) = mirrored
    gain = json.loads((run / "rounds/01/control/compare/gain.json").read_text())["gain"]["animals"]
    assert metrics["animals/against_control"] == pytest.approx(gain["relative_change"], abs=1e-9)
    assert metrics["animals/against_control_low"] <= gain["relative_change"] <= metrics["animals/against_control_high"]
    scored = read_jsonl(run / "rounds/01/control/evaluate/per_picture.jsonl")
    of_animals = [row["SAD"] for row in scored if row["domain"] == "animals"]
    assert metrics["animals/control_SAD"] == pytest.approx(sum(of_animals) / len(of_animals), abs=1e-6)

    assert main(["run", str(run), "run.control=false"]) == 0
    assert "no control: nothing says that the pairs helped; run.control=true fits one" in capsys.readouterr().out


def test_without_pairs_the_loops_fit_is_its_control_to_the_bit(run: Path) -> None:
    found = loop.run(run, "run.control=true", "matter.later.real_weight=1", redo=True)
    one, other = (run / f"rounds/01/{step}/matter.safetensors" for step in ("fit_matter", "control/fit_matter"))
    assert one.read_bytes() == other.read_bytes()
    same = json.loads((run / "rounds/01/control/compare/gain.json").read_text())["same_round"]
    assert [same[d]["relative_change"] for d in ("animals", "portraits")] == [0, 0]
    row = next(row for row in found.rounds if row["round"] == 1)
    assert (row["control_SAD"], row["against_control"]) == (row["SAD"], 0)


def test_a_control_that_diverges_goes_on_from_round_0(tmp_path: Path) -> None:
    words = ("run.rounds=2", "run.control=true", "matter.later.losses.l1=1e39", "matter.later.real_weight=1")
    run = loop.run(Path(__file__).parents[3] / "configs/tiny.yaml", f"run.dir={tmp_path / 'run'}", *words).folder
    for round_ in ("01", "02"):
        assert "became inf" in record(run, f"{round_}/control/fit_matter")["metrics"]["diverged"]
    gain = json.loads((run / "rounds/02/control/compare/gain.json").read_text())
    assert (gain["best_round"], gain["control_round"], gain["same_round"]) == (0, 0, {})
    assert gain["gain"]["animals"]["relative_change"] == 0
