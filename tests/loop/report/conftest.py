"""A run of three rounds for the report: the tiny run, whose one round is also its refused second."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stylematte.sealed import MARK

CHANGE = {"relative_change": -0.13, "low": -0.24, "high": 0.02, "n": 4}
REFUSAL = "Refused: portraits may be worse than the best so far: SAD 0.4892 to 0.4966 (+1.5%), limit +5.0%."


def words(page: str) -> str:
    """The page without what figures say of their records and cells of their columns."""
    return re.sub(r"</?data[^>]*>| data-h=\"[^\"]*\"", "", page)


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="session")
def whole(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Round 1 accepted, round 2 refused; its animals' fit diverged, so their previous generator is selected."""
    folder = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("report") / "tiny & <run>"))
    rounds, config = folder / "rounds", folder / "config.yaml"
    edited = config.read_text().partition(MARK)[0]
    config.write_text(edited.replace("rounds: 1\n", "rounds: 2\n", 1))
    shutil.copytree(rounds / "01", rounds / "02")
    write_rows(rounds / "00/prepare/left_out.jsonl", [{"file": "torn.jpg", "reason": "torn.jpg: truncated <file>"}])
    intervals = {
        domain: {"vs_best": CHANGE, "vs_first": CHANGE | {"low": -0.29}} for domain in ("portraits", "animals")
    }
    verdict = {"accepted": True, "reason": "Accepted: no worse.", "accepted_round": 1, "intervals": intervals}
    (rounds / "01/accept/verdict.json").write_text(json.dumps(verdict))
    (rounds / "02/accept/verdict.json").write_text(json.dumps(verdict | {"accepted": False, "reason": REFUSAL}))
    _diverged_animals(rounds / "02/animals")
    return folder


def _diverged_animals(folder: Path) -> None:
    (folder / "fit_generator/stopped.json").write_text(json.dumps({"reason": "loss/D is NaN at step 120"}))
    measured = {"frechet": 4.5, "kid": 0.25, "fitted_frechet": 7.25, "selected": "the previous"}
    edit(folder / "select_generator/stage.json", lambda record: record | {"metrics": record["metrics"] | measured})
    labels = [{"kept": False, "reason": f"confidence {0.8 + k / 100:.3f} below 0.9"} for k in range(3)]
    write_rows(folder / "label/index.jsonl", [*labels, {"kept": True, "reason": None}])
    rules = ("disagreement", "disagreement", "body", None)
    write_rows(folder / "select/index.jsonl", [{"kept": rule is None, "rule": rule} for rule in rules])


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(whole, tmp_path / "run"))
