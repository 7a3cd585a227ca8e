"""A run folder as typed data, at any moment of a run and with any file broken."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loop.report.data import Change, Distances, Run, Score, Sieve
from loop.report.read import read_run

ROOT = Path(__file__).parents[3]


def test_a_round_is_typed_values(whole: Path) -> None:
    run = read_run(whole)
    first, accepted, refused = run.rounds
    assert (run.name, run.planned, run.margin, run.domains) == ("tiny & <run>", 2, 0.05, ["portraits", "animals"])
    assert run.accepted is accepted
    assert [round_.accepted for round_ in run.rounds] == [True, True, False]
    assert first.pairs == {}
    assert refused.labels["animals"] == Sieve(1, {"confidence": 3})
    assert refused.pairs["animals"] == Sieve(1, {"disagreement": 2, "body": 1})
    assert refused.distances["animals"] == Distances(4.5, 0.25, 7.25, "the previous")
    assert refused.stopped == {"animals/fit_generator": "loss/D is NaN at step 120"}
    assert accepted.verdict is not None
    assert accepted.verdict.changes["animals"]["vs_first"] == Change(-0.13, -0.29, 0.02)


def test_scores_and_pictures_are_those_of_evaluate(whole: Path) -> None:
    folder = whole / "rounds/01/evaluate"
    scores = json.loads((folder / "stage.json").read_text())["metrics"]["animals"]
    round_ = read_run(whole).rounds[1]
    kind, pictures = scores.pop("kind"), scores.pop("n")
    assert round_.scores["animals"] == Score(scores, pictures, kind)
    animals = [picture for picture in round_.pictures if picture.domain == "animals"]
    assert len(animals) == pictures == 4
    assert sum(picture.sad for picture in animals) / 4 == pytest.approx(scores["SAD"], abs=1e-6)
    assert all(picture.photo is not None and picture.photo.is_file() for picture in animals)


def test_a_running_fit_is_drawn_as_far_as_its_file_goes(run: Path) -> None:
    here = run / "rounds" / "02"
    for stage in ("accept", "evaluate", "fit_matter"):
        shutil.rmtree(here / stage)
    scratch = here / ".fit_matter.9f3c21ab" / "metrics.jsonl"
    scratch.parent.mkdir()
    scratch.write_text("".join(json.dumps({"step": s, "loss/l1": 1 / (s + 1)}) + "\n" for s in range(5)) + '{"step": 5')
    assert read_run(run).curves["fit_matter"][2]["loss/l1"] == [(s, 1 / (s + 1)) for s in range(5)]


def test_reading_needs_nothing_of_the_page() -> None:
    """A service or a notebook can show a run in another way."""
    code = "import loop.report.read, sys; print(*sorted(name for name in sys.modules if 'loop.report.' in name))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.split() == ["loop.report.data", "loop.report.read"]


def test_rounds_that_the_configuration_no_longer_has_are_left_out(run: Path) -> None:
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("rounds: 2\n", "rounds: 1\n", 1))
    assert [round_.number for round_ in read_run(run).rounds] == [0, 1]


def test_broken_files_are_gaps(run: Path) -> None:
    (run / "rounds/01/accept/verdict.json").write_text("{")
    (run / "rounds/02/accept/verdict.json").write_text('{"accepted": true, "intervals": {"animals": {"vs_best": {}}}}')
    (run / "rounds/02/evaluate/stage.json").write_text("[]")
    (run / "config.yaml").write_text("run: [")
    found = read_run(run)
    assert found.rounds[1].verdict is None
    assert found.rounds[2].scores == {}
    assert found.rounds[2].verdict is not None
    assert found.rounds[2].verdict.changes == {"animals": {}}
    assert (found.planned, found.margin) == (0, None)


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    found = read_run(tmp_path)
    assert isinstance(found, Run)
    assert (found.rounds, found.domains, found.accepted) == ([], [], None)


def test_other_folders_are_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a run folder: expected config\.yaml"):
        read_run(tmp_path)
