"""Two runs on one page: final SAD with its difference, rounds side by side, keys that differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loop.cli.main import main
from loop.report.compare import config_differences, final_row
from loop.report.read import read_run
from tests.loop.report.conftest import edit, words
from tests.loop.report.test_page import Balance


@pytest.fixture
def other(run: Path, tmp_path: Path) -> Path:
    """Half the SAD in round 1, which both runs have as their best; another margin."""
    other = Path(shutil.copytree(run, tmp_path / "other"))
    for folder, sad in ((run, 0.5), (other, 0.25)):
        edit(
            folder / "rounds/01/evaluate/stage.json",
            lambda record, sad=sad: record | {"metrics": {"animals": {"SAD": sad, "n": 4, "kind": "alpha"}}},
        )
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("margin: 0.05", "margin: 0.1", 1))
    return other


def test_the_difference_is_second_less_first(run: Path, other: Path) -> None:
    row = final_row(read_run(run), read_run(other), "animals")
    assert row == ["animals", "0.5000", "0.2500", "−0.2500", "−50.0 %", "4 and 4"]


def test_only_keys_that_differ_are_listed() -> None:
    one, two = "a: {b: 1, c: [1, 2]}\nd: same\n", "a: {b: 2, c: [1, 3]}\nd: same\ne: true\n"
    assert config_differences(one, two) == [("a.b", "1", "2"), ("a.c", "[1, 2]", "[1, 3]"), ("e", "–", "true")]


def test_the_verb_writes_one_page(run: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "both.html"
    assert main(["report", "--compare", str(run), str(other), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"comparison: {page}\n"
    text = page.read_text()
    Balance(text)
    shown = words(text)
    assert "<td>accept.margin</td><td>0.05</td><td>0.1</td>" in shown
    assert "http" not in text
    assert main(["report"]) != 0
    assert "expected a run folder, or --compare RUN1 RUN2" in capsys.readouterr().err
