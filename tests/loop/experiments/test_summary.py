"""What an experiment's numbers say, from numbers a person can check."""

import json
from xml.etree import ElementTree

import pytest

from loop.experiments.experiment import Experiment, Pair, Row
from loop.experiments.folder import ask
from loop.experiments.summary import compare, sentence
from loop.experiments.tables import plot, row_name, write_summary

ARMS = {"control": (), "other": ("run.rounds=0",)}
EXPERIMENT = Experiment("toy", "Is it so?", ARMS, "control", lambda folder: {})


def measured(error: float, pictures: int = 4, group: str = "faces") -> dict:
    """The mean of 1, 2, 3, 4 times the error is 2.5 times it."""
    return {group: {f"{n}.jpg": {"SAD": error * (n + 1)} for n in range(pictures)}}


def test_means_and_changes_over_common_seeds():
    found = {"control": {0: measured(1.0), 1: measured(3.0)}, "other": {0: measured(1.5), 1: measured(4.5)}}
    found["other"][2] = measured(99.0)
    control, other = compare(found, "control")
    assert (control.arm, control.mean, control.of_seeds, control.change) == ("control", 5.0, (2.5, 7.5), None)
    assert (other.of_seeds, other.seeds, other.pictures) == ((3.75, 11.25), (0, 1), 4)
    assert other.change == pytest.approx(0.5)
    assert other.low < other.change < other.high


def test_arms_are_compared_with_each_other_beside_the_control():
    found = {arm: {0: measured(error)} for arm, error in (("control", 1.0), ("one", 2.0), ("two", 3.0))}
    rows = compare(found, "control", [Pair("two", "one"), Pair("three", "one")])
    assert [(row.arm, row.against) for row in rows] == [
        ("control", None),
        ("one", "control"),
        ("two", "control"),
        ("two", "one"),
    ]
    assert rows[-1].change == pytest.approx(0.5)
    assert row_name(rows[-1], "control") == "two against one"
    assert row_name(rows[-2], "control") == "two"


def test_groups_of_one_arm_alone_have_no_change():
    found = {"control": {0: measured(1.0)}, "other": {0: measured(2.0) | measured(1.0, group="given")}}
    rows = {(row.arm, row.group): row for row in compare(found, "control")}
    assert set(rows) == {("control", "faces"), ("other", "faces"), ("other", "given")}
    assert rows["other", "given"].change is None
    assert rows["other", "faces"].change == pytest.approx(1.0)


def test_pictures_that_one_arm_lacks_are_left_out_of_both():
    found = {"control": {0: measured(1.0, 4)}, "other": {0: measured(1.0, 3)}}
    assert [row.pictures for row in compare(found, "control") if row.arm == "other"] == [3]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.2, -0.1, "is lower than that of control (-15.0%, interval -20.0% to -10.0%; 4 pictures, 1 seed)."),
        (0.1, 0.2, "is higher than"),
        (-0.1, 0.2, "is not shown to differ from"),
    ],
)
def test_a_sentence_says_what_the_interval_supports(low, high, words):
    row = Row("other", "faces", "SAD", 1.0, (1.0,), (0,), 4, (low + high) / 2, low, high, 0.3)
    assert words in sentence(row, "control")
    assert ("a change of 30% would likely have been." in sentence(row, "control")) == (low < 0 < high)
    assert sentence(Row("control", "faces", "SAD", 1.0, (1.0,), (0,), 4), "control") == ""


def test_a_fit_that_was_stopped_is_in_the_table(tmp_path):
    asked = {"name": "toy", "question": "", "control": "control", "until": None, "settings": {}, "arms": {}}
    ask(tmp_path, asked, ARMS)
    for arm, values, stopped in (("control", measured(1.0), None), ("other", {}, "00/fit_matter: loss is NaN")):
        folder = tmp_path / "runs" / arm / "0"
        folder.mkdir(parents=True)
        (folder / "measured.json").write_text(json.dumps({"stopped": stopped, "of": {}, "values": values}))
    found = write_summary(EXPERIMENT, tmp_path)
    assert found.stopped == {"other, seed 0": "00/fit_matter: loss is NaN"}
    text = (tmp_path / "table.md").read_text()
    assert "- A fit was stopped: other, seed 0: 00/fit_matter: loss is NaN" in text
    assert "| faces | control | 2.5 | 2.5 |  |  |  | 4 | 1 |  |" in text


def test_the_plot_is_a_picture_with_every_change():
    found = {arm: {0: measured(error), 1: measured(error)} for arm, error in (("control", 1.0), ("<other>", 2.0))}
    drawn = ElementTree.fromstring(plot(EXPERIMENT, compare(found, "control")))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert any("<other>, faces" in text for text in drawn.itertext())
