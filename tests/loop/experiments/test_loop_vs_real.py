"""The loop against real pictures alone: equal steps in every arm, nothing decided by what measures, plain answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from loop.config.load import load_config
from loop.experiments import named, run
from loop.experiments.experiment import Row
from loop.experiments.questions.loop_vs_real import conclude, is_last
from tests.loop.planned import planned

CONFIGS = Path(__file__).parents[3] / "configs"
EXPERIMENT = named("loop-vs-real")
WORDS = ["run.rounds=1", "matter.first.batch=8", "matter.later.batch=8"]
GENERATORS = {"pairs", "pairs-unselected", "pairs-refined", "all-roads", "all-roads-refined", "all-roads-latest"}


def planned_arm(arm: str):
    return planned(load_config(CONFIGS / "loop-vs-real.yaml", [*EXPERIMENT.settings, *EXPERIMENT.arms[arm]]))


@pytest.mark.parametrize("arm", EXPERIMENT.arms)
def test_every_arm_makes_as_many_steps_on_as_many_pictures(arm: str) -> None:
    steps = planned_arm(arm)
    fits = [step.config["fit"] for step in steps if step.stage == "fit_matter"]
    assert [(fit["steps"], fit["batch"]) for fit in fits] == [(300, 16)] * 3
    assert any(step.stage == "fit_generator" for step in steps) == (arm in GENERATORS)
    assert any(step.stage == "label" for step in steps) == (
        arm in GENERATORS | {"photos", "cutouts", "photos-and-cutouts"}
    )


def test_arms_begin_with_the_same_steps() -> None:
    """All but the first round of real pictures alone, and of the oracle with other data."""
    begin = {arm: planned_arm(arm)[:4] for arm in EXPERIMENT.arms}
    same = [arm for arm in begin if begin[arm] == begin["new-backgrounds"]]
    assert set(begin) - {*same} == {"real", "oracle-photos"}


@pytest.mark.slow
def test_a_road_is_a_source_of_pictures_and_shared_steps_are_made_once(tmp_path: Path) -> None:
    arms = ["new-backgrounds", "cutouts", "oracle-pairs", "oracle-photos"]
    events = []
    found = run(
        EXPERIMENT,
        CONFIGS / "tiny.yaml",
        WORDS,
        seeds=1,
        arms=arms,
        out=tmp_path,
        listen=lambda job, event: events.append((job.arm, event.step.id, event.kind)),
    )
    sources = {arm: _sources(tmp_path / "runs" / arm / "0") for arm in arms}
    labelled = {"portraits/labelled": 8, "animals/labelled": 8}
    assert sources["new-backgrounds"] == labelled
    assert sources["oracle-photos"] == {"portraits/labelled": 14, "animals/labelled": 14}
    assert sources["oracle-pairs"] == labelled | {"portraits/generated": 12, "animals/generated": 12}
    assert set(sources["cutouts"]) == {*labelled, "portraits/cutouts", "animals/cutouts"}
    shared = Counter(id_ for _, id_, kind in events if kind == "shared")
    assert shared == {"00/prepare": 2, "00/fit_matter": 2, "00/evaluate": 2, "00/accept": 2}
    accepted = [
        json.loads(file.read_text())["accepted"] for file in tmp_path.glob("runs/*/0/rounds/*/accept/verdict.json")
    ]
    assert accepted == [True] * 8
    assert {row.group for row in found.rows} >= {"animals, round 1", "animals, accepted"}
    assert found.sentences
    assert all("accepted: SAD" in line for line in found.sentences)


def _sources(run_dir: Path) -> dict[str, int]:
    return json.loads((run_dir / "rounds/01/fit_matter/stage.json").read_text())["metrics"]["sources"]


def row(domain: str, arm: str, against: str, low: float, high: float) -> Row:
    middle = (low + high) / 2
    return Row(arm, f"{domain}, accepted", "SAD", 1.0, (1.0,), (0,), 4, middle, low, high, 0.1, 0.5, against)


def test_the_answers_say_what_the_intervals_support() -> None:
    rows = [
        row("portraits", "all-roads", "new-backgrounds", -0.2, -0.1),
        row("animals", "all-roads", "new-backgrounds", -0.1, 0.06),
        row("portraits", "pairs", "cutouts", 0.1, 0.3),
        row("animals", "pairs", "cutouts", 0.2, 0.4),
    ]
    assert conclude(rows) == [
        "The whole loop against real pictures on new backgrounds: lower SAD beyond the interval in portraits (-15.0%); "
        "no difference shown in animals (-2.0%).",
        "The generator's pairs against the cut-outs that it learned from: higher SAD beyond the interval in portraits "
        "(+20.0%) and animals (+30.0%).",
    ]
    assert not is_last("animals, round 1")
