"""The plan is data: what feeds what can be read off it."""

from collections import Counter
from pathlib import Path

import pytest

import loop
from loop.config.fingerprints import Fingerprints
from loop.config.load import load_config
from loop.engine.launchers.choice import runs_apart
from loop.plan import plan
from stylematte.errors import ConfigError
from tests.loop.planned import planned

QUICKSTART = Path(__file__).parents[3] / "configs" / "small.yaml"


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


def test_of_the_latest_pools_none_is_older_than_the_round() -> None:
    fit = steps("run.rounds=3", "matter.later.pools=latest")["03/fit_matter"]
    assert {name for name in fit.inputs if name.startswith("pairs/")} == {"pairs/03/portraits", "pairs/03/animals"}


def test_a_road_that_is_closed_feeds_nothing() -> None:
    labels = {"labels/portraits": "02/portraits/label", "labels/animals": "02/animals/label"}
    words = "run.rounds=2", "matter.later.roads.pairs=0"
    always = {"data": "00/prepare", "matter": "01/accept"}
    assert steps(*words)["02/fit_matter"].inputs == always
    for road in ("photos", "cutouts", "trimaps"):
        fit = steps(*words, f"matter.later.roads.{road}=1")["02/fit_matter"]
        assert fit.inputs == always | labels


def test_label_writes_what_the_open_roads_read() -> None:
    asked = {road: steps(f"matter.later.roads.{road}=1")["01/animals/label"].config for road in ("photos", "cutouts")}
    asked |= {"none": steps()["01/animals/label"].config}
    found = {road: (read["targets"], read["agreement"], read["trimaps"]) for road, read in asked.items()}
    assert found == {"photos": (True, True, False), "cutouts": (True, False, False), "none": (False, False, False)}


def test_a_fresh_start_reads_no_matter_but_the_backbones_weights() -> None:
    found = steps("run.rounds=2", "matter.later.start=fresh")
    for round_ in (1, 2):
        assert "matter" not in found[f"{round_:02d}/fit_matter"].inputs
        assert found[f"{round_:02d}/animals/label"].inputs["matter"] == f"{round_ - 1:02d}/accept"
    config = load_config(QUICKSTART, ["matter.later.start=fresh"])
    digests = {step.id: step.config.get("backbone_digest") for step in plan(config, Fingerprints(backbone="weights"))}
    assert digests["00/fit_matter"] == digests["01/fit_matter"] == "weights"


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


def stages(*overrides: str) -> dict[str, int]:
    return dict(Counter(step.stage for step in steps("run.rounds=1", *overrides).values()))


ROUNDS = {"prepare": 1, "fit_matter": 2, "evaluate": 2, "accept": 2}
GENERATOR = {"label": 2, "fit_generator": 2, "select_generator": 2, "synthesize": 2, "select": 2, "watch": 2}
PHOTOS_ALONE = ("matter.later.roads.pairs=0", "matter.later.roads.photos=1")


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ((), GENERATOR),
        (("matter.later.real_weight=1",), {}),
        (("matter.later.roads.pairs=0",), {}),
        (PHOTOS_ALONE, {"label": 2}),
        ((*PHOTOS_ALONE, "matter.later.real_weight=1"), {}),
        (("synthesize.source=drawn",), {"draw_pairs": 2, "select": 2}),
        (("synthesize.source=drawn", "matter.later.roads.cutouts=1"), {"label": 2, "draw_pairs": 2, "select": 2}),
    ],
)
def test_only_what_something_reads_is_made(words: tuple[str, ...], more: dict[str, int]) -> None:
    assert stages(*words) == ROUNDS | more


def test_a_generator_that_is_not_fitted_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no matter learns from a generator's pairs.*real_weight below 1"):
        loop.fit_generator(QUICKSTART, f"run.dir={tmp_path}", "matter.later.real_weight=1", domain="animals")


def test_prepared_data_are_the_same_for_every_seed() -> None:
    assert steps("run.seed=1")["00/prepare"] == steps("run.seed=2")["00/prepare"]


def test_a_control_adds_steps_and_changes_none() -> None:
    before, after = steps("run.rounds=2"), steps("run.rounds=2", "run.control=true")
    added = [id_ for id_ in after if id_ not in before]
    assert added == [f"{r:02d}/control/{s}" for r in (1, 2) for s in ("fit_matter", "evaluate", "compare")]
    assert all(after[id_] == step for id_, step in before.items())


def test_the_control_has_the_steps_and_the_seed_of_the_loops_fit_and_real_pairs_alone() -> None:
    found = steps("run.rounds=2", "run.control=true")
    control, fit = found["02/control/fit_matter"], found["02/fit_matter"]
    assert control.seed == fit.seed
    assert control.config == fit.config | {"real_weight": 1.0}
    more = steps("run.rounds=2", "run.control=true", "matter.later.roads.photos=1", "matter.later.placement=labelled")
    assert more["02/control/fit_matter"] == control
    placed = steps("run.rounds=2", "run.control=true", "matter.later.placement=everywhere")["02/control/fit_matter"]
    assert placed.config["fit"] == control.config["fit"] | {"placement": "everywhere"}  # real pictures are placed, too
    fresh = steps("run.rounds=2", "run.control=true", "matter.later.start=fresh")["02/control/fit_matter"]
    assert fresh.inputs == {"data": "00/prepare"}
    first = {"data": "00/prepare", "matter": "00/accept"}
    assert found["01/control/fit_matter"].inputs == first
    assert control.inputs == first | {"matter": "01/control/fit_matter", "fallback": "00/accept"}


def test_a_control_of_round_0_alone_is_none() -> None:
    assert steps("run.rounds=0", "run.control=true") == steps("run.rounds=0")


def test_the_control_may_run_beside_the_generators() -> None:
    config = load_config(QUICKSTART, ["run.control=true", "launch.at_once=2"])
    apart = {step.id for step in planned(config) if step.round == 1 and runs_apart(step, config.launch)}
    assert {"01/control/fit_matter", "01/portraits/fit_generator", "01/animals/fit_generator"} <= apart
    assert "01/fit_matter" not in apart


def test_a_domain_may_be_called_control_where_there_is_none() -> None:
    words = ["data.domains={control: portrait}", "run.rounds=0"]
    assert load_config(QUICKSTART, words).data.domains.keys() >= {"control"}
    with pytest.raises(ConfigError, match=r"data\.domains\.control: this name is taken"):
        load_config(QUICKSTART, [*words, "run.control=true"])


def test_a_list_of_counts_and_intervals_changes_the_rounds_it_speaks_of_alone() -> None:
    plain = steps("run.rounds=3", "synthesize.count=100", "synthesize.psi=[0.5,1.0]")
    listed = steps(
        "run.rounds=3",
        "synthesize.count=100",
        "synthesize.psi=[0.5,1.0]",
        "synthesize.count_by_round=[50,100]",
        "synthesize.psi_by_round=[[0.3,0.6],[0.5,1.0]]",
    )
    changed = [id_ for id_ in plain if plain[id_].config != listed[id_].config]
    assert changed == ["01/portraits/synthesize", "01/animals/synthesize"]
    read = [listed[f"{round_:02d}/animals/synthesize"].config for round_ in (1, 2, 3)]
    assert [one["count"] for one in read] == [50, 100, 100]  # the last one holds
    assert [one["psi"] for one in read] == [[0.3, 0.6], [0.5, 1.0], [0.5, 1.0]]


def test_oracle_pairs_grow_by_the_same_list() -> None:
    found = steps("run.rounds=2", "synthesize.source=drawn", "synthesize.count_by_round=[50,80]")
    assert [found[f"{round_:02d}/animals/draw_pairs"].config["count"] for round_ in (1, 2)] == [50, 80]


@pytest.mark.parametrize("word", ["count_by_round=[10,0]", "psi_by_round=[[0,1]]", "psi_by_round=[[0.5]]"])
def test_impossible_lists(word: str) -> None:
    with pytest.raises(ConfigError, match=rf"synthesize\.{word.partition('=')[0]}=.*expected"):
        load_config(QUICKSTART, [f"synthesize.{word}"])


def test_refined_alphas_stand_where_the_others_stood() -> None:
    plain, refined = steps(), steps("refine.pairs=[animals]", "refine.cutouts=[animals]")
    assert {*refined} - {*plain} == {"01/animals/refine_cutouts", "01/animals/refine_pairs"} | (
        {"02/animals/refine_cutouts", "02/animals/refine_pairs"} if "02/accept" in plain else set()
    )
    assert refined["01/animals/select"].inputs["pool"] == "01/animals/refine_pairs"
    assert refined["01/animals/fit_generator"].inputs["labels"] == "01/animals/refine_cutouts"
    assert refined["01/portraits/select"] == plain["01/portraits/select"]
    own = steps("refine.pairs=[animals,portraits]", "refine.rules_of={animals: {max_half_seen: 0.7}}")
    rules = [own[f"01/{domain}/refine_pairs"].config["rules"] for domain in ("animals", "portraits")]
    assert [each["max_half_seen"] for each in rules] == [0.7, 0.5]


def test_only_domains_can_be_refined() -> None:
    with pytest.raises(ConfigError, match=r"refine\.pairs: 'cats' is not one of data\.domains"):
        steps("refine.pairs=[cats]")


def test_select_reads_what_its_rules_compare_with() -> None:
    assert "labels" not in steps()["02/animals/select"].inputs
    asked = steps("select.min_real_hash_bits=4", "select.previous=true")
    assert asked["01/animals/select"].inputs.keys() - steps()["01/animals/select"].inputs.keys() == {"labels"}
    assert asked["02/animals/select"].inputs["previous"] == "00/accept"
    assert asked["02/animals/select"].inputs["matter"] == "01/accept"
