"""The round table: plain JSON values for programs, whole lines for a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loop.cli.round_table import print_round_table
from loop.report.table import HEADERS, round_table


def test_round_table_is_plain_data(whole: Path) -> None:
    headers, table = round_table(whole)
    assert headers == HEADERS
    assert len(table) == 6
    first, last = (dict(zip(headers, row, strict=True)) for row in (table[0], table[-1]))
    assert (first["round"], first["domain"], first["frechet"], first["pairs_kept"]) == (0, "portraits", None, None)
    assert (last["pairs_kept"], last["pairs_refused"], last["labels_kept"], last["labels_refused"]) == (1, 3, 1, 3)
    assert (last["frechet"], last["kid"], last["fitted_frechet"]) == (4.5, 0.25, 7.25)
    assert [row[headers.index("accepted")] for row in table] == [True] * 4 + [False] * 2
    assert [row[headers.index("current")] for row in table] == [False] * 2 + [True] * 2 + [False] * 2
    scores = json.loads((whole / "rounds/02/evaluate/stage.json").read_text())["metrics"]["animals"]
    assert all(last[name] == scores[name] for name in ("SAD", "MSE", "Conn", "n", "zero_SAD", "kind"))
    assert json.loads(json.dumps(table)) == table


def test_the_terminal_table_is_whole(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_round_table(whole)
    printed = capsys.readouterr().out
    assert "  best" in printed
    assert "1/4" in printed
    assert "…" not in printed


def test_a_run_that_has_just_begun_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rounds").mkdir()
    assert round_table(tmp_path) == (HEADERS, [])
