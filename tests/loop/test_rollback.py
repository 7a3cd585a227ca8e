"""A run is taken back to the end of a round: later results are kept aside and drawn anew; reviews wake one select."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.config.reviews import Review, picture_digest, write_review
from loop.engine.audit import read_audit
from loop.runs.rollback import roll_back
from loop.runs.status import outlook
from stylematte.errors import DataError
from stylematte.jsonl import read_jsonl


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "tiny"))


def states(run: Path) -> dict[str, str]:
    return {step.step: step.state for step in outlook(run).steps}


def test_later_rounds_are_kept_aside_and_get_other_seeds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {step.id: step.seed for step in outlook(run).planned}
    assert set(states(run).values()) == {"fresh"}
    assert main(["rollback", str(run), "0"]) == 0
    assert "is at the end of round 0; 15 results are kept until `stylematte gc`" in capsys.readouterr().out
    assert not (run / "rounds/01").exists()
    assert {step: state for step, state in states(run).items() if state != "fresh"} == {
        step: "missing" for step in before if step.startswith("01/")
    }
    after = {step.id: step.seed for step in outlook(run).planned}
    assert [step for step in before if before[step] == after[step]] == [
        *(step for step in before if step.startswith("00/")),
    ]
    assert [(row["action"], row["round"], row["steps"]) for row in read_audit(run)] == [("rollback", 0, 15)]
    (run / "rollbacks.json").unlink()  # as if nobody had: the keys are the old ones, so nothing was lost
    assert states(run)["01/accept"] == "kept"


def test_what_cannot_be_gone_back_to_is_refused(run: Path) -> None:
    with pytest.raises(DataError, match="tiny: nothing was made after round 1"):
        roll_back(run, 1)
    with pytest.raises(DataError, match="tiny: round 7 has no verdict; expected a round that is over"):
        roll_back(run, 7)
    assert not (run / "rollbacks.json").exists()


def test_a_review_wakes_the_select_of_its_round_and_no_other_step(run: Path) -> None:
    pool = run / "rounds/01/portraits/synthesize"
    row = read_jsonl(pool / "index.jsonl")[0]
    review = Review(False, picture_digest(pool / row["rgba"]), "no face")
    write_review(run, "01/portraits/select", row["id"], review, "Ada")
    found = {step: state for step, state in states(run).items() if state != "fresh"}
    assert found == {
        "01/portraits/select": "stale",
        **dict.fromkeys(("01/portraits/watch", "01/fit_matter", "01/evaluate", "01/accept"), "waits"),
    }
    write_review(run, "01/portraits/select", row["id"], None, "Ada")
    assert set(states(run).values()) == {"fresh"}
