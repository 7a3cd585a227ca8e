"""The block "Needs you": each condition is named with its numbers and a cure, and a sound run has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loop.report.build import build_report
from loop.report.data import LeftOut, Round, Run, Score, Sieve, Verdict
from loop.report.fits import covered_seconds
from loop.report.needs import needs, needs_section
from loop.report.read import read_run


def verdict(accepted: bool) -> Verdict:
    return Verdict(accepted, "", 0, 0, {})


@pytest.fixture
def sound() -> Run:
    score = Score({"SAD": 0.3, "zero_SAD": 1.3, "constant_SAD": 0.9}, 40, "alpha")
    first = Round(0, Path("none"), {"hats": score}, verdict=verdict(True))
    second = Round(1, Path("none"), {"hats": score}, pairs={"hats": Sieve(40, {"body": 60})}, verdict=verdict(True))
    curves = {"hats · fit_generator": {1: {"ada/p": [(9.0, 0.4)], "D/sign_real": [(float(x), 0.6) for x in range(9)]}}}
    empty = {"config_text": "", "margin": None, "planned": 1, "has_control": False, "counts": {}, "left_out": []}
    return Run("toy", domains=["hats"], rounds=[first, second], curves=curves, augmentation_cap=0.8, **empty)


def test_a_sound_run_needs_nothing(sound: Run) -> None:
    assert needs(sound) == []
    assert needs_section(sound) == ""


def test_each_condition_is_said_with_its_numbers(sound: Run) -> None:
    first, second = sound.rounds
    first.scores["hats"] = Score({"SAD": 0.95, "zero_SAD": 1.3, "constant_SAD": 0.9}, 40, "alpha")
    second.pairs["hats"] = Sieve(4, {"body": 96})
    second.verdict = verdict(False)
    third = Round(2, Path("none"), verdict=verdict(False))
    told = {"ada/p": [(9.0, 0.8)], "D/sign_real": [(float(x), 1.0) for x in range(8)]}
    broken = replace(
        sound,
        rounds=[first, second, third],
        curves={"hats · fit_generator": {1: told}},
        left_out=[LeftOut("torn.jpg", "truncated")],
        free_bytes=3_000_000_000,
        used_bytes=2_000_000_000,
    )
    assert [each.what for each in needs(broken)] == [
        "hats: the best matter (SAD 0.9500) is no better than the best constant matte (0.9000)",
        "the last 2 rounds were refused",
        "hats: round 1 kept 4 of 100 pairs (most refused by: body)",
        "hats · fit_generator, round 1: augmentation is at its cap (p = 0.8000)",
        "hats · fit_generator, round 1: the discriminator is saturated (sign 1.000 of 1)",
        "1 pictures were left out, such as torn.jpg: truncated",
        "3.0 GB of disk are free; a round takes 2.0 GB",
    ]
    assert all(each.cure for each in needs(broken))


def test_time_is_by_the_clock() -> None:
    assert covered_seconds([(0.0, 10.0), (5.0, 15.0), (20.0, 21.0), (2.0, 3.0)]) == 16.0


def test_steps_come_in_the_order_of_the_plan(run: Path) -> None:
    steps = list(read_run(run).rounds[1].seconds)
    assert steps.index("portraits/label") < steps.index("portraits/fit_generator") < steps.index("fit_matter")
    assert steps[-1] == "accept"
    build_report(run)
