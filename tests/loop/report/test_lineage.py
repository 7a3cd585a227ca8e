"""Lineage by the plan, and the record of what made a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loop.report.build import build_report
from loop.report.lineage import lineage
from loop.report.read import read_run
from loop.tracking import provenance
from loop.tracking.provenance import PROVENANCE, read_provenance, record_provenance


def test_lineage_names_the_teacher_of_each_step(run: Path) -> None:
    found = read_run(run)
    lines = [list(lineage(found, round_)) for round_ in found.rounds]
    assert lines[0] == [
        "fit: the matter of round 0 learned from the real pairs, from its start",
        "verdict: accepted; the best by then is that of round 0",
    ]
    assert lines[1][0].startswith("portraits: photos labelled by the matter of round 0 (")
    assert " → generator fitted on them, from its start → cut-outs drawn" in lines[1][0]
    taught = "the real pairs and the generated pairs of round 1"
    assert lines[1][2] == f"fit: the matter of round 1 learned from {taught}, from the matter of round 0"
    assert lines[2][-1] == (
        "verdict: refused; the loop goes on with the matter of round 1; the best by then is that of round 1"
    )


def test_a_matter_that_was_not_accepted_teaches_nobody(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["steps"].append({"id": "02/animals/label", "inputs": {"matter": "01/accept"}})
    (run / "manifest.json").write_text(json.dumps(manifest))
    verdict = {"accepted": False, "reason": "no", "accepted_round": 0, "best_round": 0}
    (run / "rounds/01/accept/verdict.json").write_text(json.dumps(verdict))
    found = read_run(run)
    assert next(lineage(found, found.rounds[2])) == "animals: photos labelled by the matter of round 0 (1 kept of 4)"


def test_a_run_records_what_made_it(run: Path) -> None:
    row = read_provenance(run)[-1]
    assert {"stylematte", "torch", "lightning"} <= set(row["packages"])
    assert row["host"] == provenance.provenance()["host"]
    text = build_report(run).read_text()
    assert f"torch {row['packages']['torch']}" in text
    assert (row["commit"] or "unknown") in text
    (run / PROVENANCE).unlink()
    assert 'id="provenance"' not in build_report(run).read_text()


def test_a_line_is_added_only_where_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_said", lambda *command: "H100, 80 GB, 570\n" if "smi" in command[0] else "")
    record_provenance(tmp_path)
    record_provenance(tmp_path)
    monkeypatch.setattr(provenance, "gpus", lambda: [])
    record_provenance(tmp_path)
    assert [row["gpus"] for row in read_provenance(tmp_path)] == [["H100, 80 GB, 570"], []]


def test_the_commit_is_that_of_the_code_and_of_nothing_further_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_said", lambda *command: "abc" if "rev-parse" in command else " M loop/plan.py")
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.commit() == "abc with changes"
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "site-packages")
    assert provenance.commit() != "abc with changes"
