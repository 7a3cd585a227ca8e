"""The plan is data: what feeds what can be read off it."""

from pathlib import Path

from loop.config.load import load_config
from tests.loop.planned import planned

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.yaml"


def steps(*overrides: str):
    return {step.id: step for step in planned(load_config(QUICKSTART, overrides))}


def test_every_input_stands_before_its_reader() -> None:
    seen: set[str] = set()
    for id_, step in steps("run.rounds=3").items():
        assert set(step.inputs.values()) <= seen, id_
        seen.add(id_)


def test_two_rounds_of_two_domains() -> None:
    assert len(steps("run.rounds=2")) == 1 + 3 + 2 * (2 * 6 + 3)


def test_pools_accumulate() -> None:
    fit = steps("run.rounds=3")["03/fit_matter"]
    pools = {name for name in fit.inputs if name.startswith("pairs/")}
    assert pools == {f"pairs/{r:02d}/{d}" for r in (1, 2, 3) for d in ("portraits", "animals")}
    assert fit.inputs["matter"] == "02/accept"


def test_the_matter_is_fitted_after_the_watch_of_its_round() -> None:
    fit = steps("run.rounds=2")["02/fit_matter"]
    watched = {name: id_ for name, id_ in fit.inputs.items() if name.startswith("watch/")}
    assert watched == {f"watch/{d}": f"02/{d}/watch" for d in ("portraits", "animals")}


def test_thresholds_of_the_watch_are_in_no_key() -> None:
    assert steps("watch.min_spread=null", "watch.max_holes=0.1") == steps()
    changed = {id_ for id_, step in steps("watch.images=10").items() if step != steps()[id_]}
    assert changed == {f"{r:02d}/{d}/watch" for r in (1, 2) for d in ("portraits", "animals")}


def test_a_generator_starts_from_its_last_round_and_the_first_from_nothing() -> None:
    found = steps("run.rounds=2")
    assert found["02/animals/fit_generator"].inputs["previous"] == "01/animals/select_generator"
    assert "previous" not in found["01/animals/fit_generator"].inputs


def test_more_rounds_leave_the_first_ones_as_they_are() -> None:
    two, three = steps("run.rounds=2"), steps("run.rounds=3")
    assert all(three[id_] == step for id_, step in two.items())


def test_a_stage_reads_only_its_own_configuration() -> None:
    before, after = steps(), steps("generator.fit.glr=1e-3")
    changed = {id_ for id_ in before if before[id_] != after[id_]}
    assert changed == {id_ for id_ in before if id_.endswith("fit_generator")}


def test_seeds_differ_between_steps_and_follow_the_run_seed() -> None:
    found = steps()
    assert len({step.seed for step in found.values()}) == len(found)
    assert steps("run.seed=1")["01/animals/label"].seed != found["01/animals/label"].seed
