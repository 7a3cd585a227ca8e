"""The experiment on labels: no arm sees more than its label, finished fits survive a cut, the table says what was."""

from pathlib import Path

import pytest

from benchmarks.without_alpha import ARMS, keep, kept_fits, summary, taught_rows

SETTINGS = {"steps": 3}
FOLDER = Path("/data")


def picture(number: int, split: str) -> dict:
    labels = {key: f"{key}/{number}.png" for key in ("image", "alpha", "foreground", "trimap", "closed_form")}
    masked = {**labels, **{key: f"mask/{key}/{number}.png" for key in ("alpha", "foreground", "trimap")}}
    return {"id": str(number), "split": split, **labels, "masked": masked}


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_sees_its_label_and_no_held_out_picture(name) -> None:
    arm = ARMS[name]
    (row,) = taught_rows(FOLDER, [picture(0, "train"), picture(1, "heldout")], arm)
    named = {key: str(path.relative_to(FOLDER)) for key, path in row.items() if key != "id"}
    prefix = "mask/" if arm.label.startswith("mask") else ""
    if arm.label.endswith("trimap"):
        expected = {"image": "image/0.png", "trimap": f"{prefix}trimap/0.png"}
        expected |= {"closed_form": "closed_form/0.png"} if "closed form" in name else {}
    else:
        expected = {"image": "image/0.png", "alpha": f"{prefix}alpha/0.png", "foreground": f"{prefix}foreground/0.png"}
    assert named == expected


def fitted(arm: str, seed: int, unknown: float, stopped: str = "", settings: dict | None = None) -> dict:
    measured = {f"{n}.jpg": {"unknown": unknown * (n + 1), "whole": 2 * unknown} for n in range(4)}
    figures = {"train": measured, "heldout": measured}
    return {"arm": arm, "seed": seed, "settings": settings or SETTINGS, "stopped": stopped, "trained": 1, **figures}


def test_finished_fits_survive_a_cut_line_and_other_settings(tmp_path) -> None:
    path, first, second = tmp_path / "runs" / "fits.jsonl", fitted("alpha", 0, 1.0), fitted("alpha", 1, 2.0)
    assert kept_fits(path, SETTINGS) == {}
    keep(path, first)
    with path.open("a") as lines:
        lines.write('{"arm": "alpha", "seed": 7, "sett')
    keep(path, second)
    keep(path, fitted("alpha", 2, 3.0, settings={"steps": 4}))
    assert kept_fits(path, SETTINGS) == {("alpha", 0): first, ("alpha", 1): second}


def test_the_table_compares_with_the_first_arm_over_common_seeds() -> None:
    alpha, other, *_ = ARMS
    runs = [fitted(alpha, 0, 1.0), fitted(alpha, 1, 3.0), fitted(other, 0, 1.5), fitted(other, 1, 4.5, "flat")]
    first, second = summary([*runs, fitted(other, 2, 99.0)])
    assert first["unknown"] == [2.5, 7.5]  # the mean of 1, 2, 3, 4 times the seed's error
    assert second["unknown"] == [3.75, 11.25]
    change, low, high = second["change"]
    assert change == pytest.approx(0.5)
    assert low <= change <= high
    assert second["taught change"] == second["change"]  # the same pictures here
    assert second["stopped"] == {1: "flat"}
    assert first["change"] == [0, 0, 0]
