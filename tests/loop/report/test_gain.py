"""The gain over the control as people read it: sentences, the table in 80 columns, the page, the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from loop.cli.round_table import print_round_table
from loop.report.build import build_report
from loop.report.gain import NO_CONTROL, gain_sentences
from loop.report.read import read_run
from loop.report.table import round_table
from loop.runs.model_card import card
from tests.loop.report.conftest import edit, words
from tests.loop.report.test_page import Balance


def interval(new: float, best: float, low: float, high: float) -> dict[str, Any]:
    change = new / best - 1
    return {"mean_new": new, "mean_best": best, "relative_change": change, "low": low, "high": high, "n": 24}


GAIN = {
    "best_round": 1,
    "control_round": 2,
    "gain": {"animals": interval(0.3, 0.3, -0.04, 0.05), "portraits": interval(0.36, 0.4, -0.151, -0.032)},
    "same_round": {"animals": interval(0.33, 0.3, 0.051, 0.152), "portraits": interval(0.36, 0.45, -0.252, -0.11)},
}


@pytest.fixture
def compared(run: Path) -> Path:
    """The run of three rounds with a control in both later ones; pools as large as those of a real run."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("control: false", "control: true", 1))
    for round_ in ("01", "02"):
        here = run / "rounds" / round_
        shutil.copytree(here / "evaluate", here / "control/evaluate")
        (here / "control/compare").mkdir()
        (here / "control/compare/gain.json").write_text(json.dumps(GAIN))
        for domain in ("portraits", "animals"):
            rows = [{"kept": k < 400, "rule": None if k < 400 else "body"} for k in range(1000)]
            (here / domain / "select/index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


SENTENCES = [
    "round 1 against round 2 of the control (real pairs alone):",
    "portraits: SAD 0.3600 against 0.4000, −10.0 % (interval −15.1 % to −3.2 %, n=24): better",
    "animals: SAD 0.3000 against 0.3000, +0.0 % (interval −4.0 % to +5.0 %, n=24): no difference shown",
]


def test_the_gain_is_that_of_the_best_rounds(compared: Path) -> None:
    assert gain_sentences(read_run(compared)) == SENTENCES


def test_a_run_without_a_control_says_so_plainly(run: Path) -> None:
    assert gain_sentences(read_run(run)) == [NO_CONTROL]
    assert "No control: nothing says that the pairs helped; run.control=true fits one." in build_report(run).read_text()


def test_round_0_alone_has_no_pairs_to_speak_of(run: Path) -> None:
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("rounds: 2\n", "rounds: 0\n", 1))
    assert gain_sentences(read_run(run)) == []


def test_a_control_that_lags_behind_says_so(compared: Path) -> None:
    shutil.rmtree(compared / "rounds/02/control")
    assert gain_sentences(read_run(compared))[0].endswith("(real pairs alone), as of round 1 of 2:")
    shutil.rmtree(compared / "rounds/01/control")
    assert gain_sentences(read_run(compared)) == ["the control has not been compared yet: no round of it is finished"]
    assert "the control has not been compared yet" in build_report(compared).read_text()


def test_a_control_that_was_switched_off_is_not_shown(compared: Path) -> None:
    config = compared / "config.yaml"
    config.write_text(config.read_text().replace("control: true", "control: false", 1))
    assert gain_sentences(read_run(compared)) == [NO_CONTROL]
    assert "control_SAD" in round_table(compared)[0]
    assert all(row[round_table(compared)[0].index("control_SAD")] is None for row in round_table(compared)[1])


@pytest.mark.parametrize("control", [True, False])
def test_the_table_fits_80_columns(
    compared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, control: bool
) -> None:
    if not control:
        (compared / "config.yaml").write_text((compared / "config.yaml").read_text().replace("control: true", ""))
    edit(
        compared / "rounds/02/animals/select_generator/stage.json",
        lambda record: record | {"metrics": record["metrics"] | {"frechet": 123.4}},
    )
    print_round_table(compared)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed.replace(" … ", "")
    assert ("−20.0 %  −25.2 … −11.0  400/1000  best" in printed) == control
    assert (NO_CONTROL in printed) != control


def test_the_page_states_the_gain_at_its_top_and_in_its_table(compared: Path) -> None:
    text = build_report(compared).read_text()
    Balance(text)
    text = words(text)
    top = text[: text.index("Rounds</h2>")]
    assert "−10.0 %</b> against the control: better</div><small>interval −15.1 % to −3.2 %; control" in top
    assert "+0.0 %</b> against the control: no difference shown" in top
    assert "its best round 2: 0.4000" in top
    assert "−20.0 %<small>−25.2 % to −11.0 %</small>" in text
    assert SENTENCES[1].removeprefix("p") in text
    assert "portraits, control" in text


def test_a_matter_that_went_on_and_is_not_the_best_is_named(run: Path) -> None:
    edit(run / "rounds/02/accept/verdict.json", lambda verdict: verdict | {"accepted_round": 1, "best_round": 0})
    text = build_report(run).read_text()
    assert (
        "The best matter is that of <b>round 0</b>. The loop went on with that of round 1, which is not better." in text
    )
    headers, rows = round_table(run)
    assert [row[headers.index("round")] for row in rows if row[headers.index("current")]] == [0, 0]


def test_the_card_of_an_export_states_it_too(compared: Path, tmp_path: Path) -> None:
    description = {"network": {"variant": "fpn", "backbone": {"name": "swin"}}, "meta": {"size": 32}}
    text = card(tmp_path, description, compared, hub=False)
    assert all(line in text for line in SENTENCES)


def test_broken_files_of_the_control_are_gaps(compared: Path) -> None:
    (compared / "rounds/02/control/compare/gain.json").write_text('{"gain": {"animals": 3, "portraits": {"low": "x"}}}')
    (compared / "rounds/02/control/evaluate/stage.json").write_text("{")
    assert gain_sentences(read_run(compared))[0].endswith("as of round 1 of 2:")
    Balance(build_report(compared).read_text())
