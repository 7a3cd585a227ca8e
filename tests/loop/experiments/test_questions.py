"""The experiments that come with the loop: every arm is a configuration, and sees what its name says and no more."""

import json
import re
from pathlib import Path
from statistics import fmean

import pytest

from loop.config.load import load_config
from loop.config.schema import EnhancementConfig
from loop.experiments import Experiment, experiments, named
from loop.experiments.execute import steps_until
from loop.experiments.fixed_matter import fixed_and_retrained, is_asked, of_domain
from loop.experiments.measures import edges, heldout
from loop.experiments.questions.generator_loss import selected
from stylematte.errors import ConfigError
from stylemattegan.latent_config import EnhanceConfig, InvertConfig
from tests.loop.planned import planned

CONFIGS = Path(__file__).parents[3] / "configs"
ALL = [pytest.param(e, arm, id=f"{e.name}-{arm}") for e in experiments().values() for arm in e.arms]


def config_of(experiment, arm, *words):
    return load_config(CONFIGS / "small.yaml", [*experiment.settings, *words, *experiment.arms[arm]])


@pytest.mark.parametrize(("experiment", "arm"), ALL)
def test_every_arm_is_a_configuration_that_can_work(experiment, arm):
    steps = steps_until(planned(config_of(experiment, arm)), experiment.until)
    assert steps[-1].stage == (experiment.until or "accept")
    assert {producer for step in steps for producer in step.inputs.values()} <= {step.id for step in steps}


def test_runs_end_with_what_is_measured():
    ids = [step.id for step in steps_until(planned(config_of(named("generator-loss"), "logistic")), "select_generator")]
    assert "01/portraits/select_generator" in ids
    assert not [id_ for id_ in ids if id_.endswith(("synthesize", "select", "01/fit_matter"))]
    assert [step.id for step in steps_until(planned(config_of(named("without-alpha"), "alpha")), "evaluate")] == [
        "00/prepare",
        "00/fit_matter",
        "00/evaluate",
    ]


def test_held_out_errors_of_every_round_and_of_what_was_accepted(tiny_run):
    found = heldout(tiny_run)
    names = {f"{domain}, {what}" for domain in ("portraits", "animals") for what in ("round 0", "round 1", "accepted")}
    assert set(found) == names
    means = json.loads((tiny_run / "rounds/01/evaluate/stage.json").read_text())["metrics"]
    for domain in ("portraits", "animals"):
        rows = found[f"{domain}, round 1"]
        assert len(rows) == 4
        for figure in ("SAD", "MSE", "Grad", "Conn"):
            assert fmean(row[figure] for row in rows.values()) == pytest.approx(means[domain][figure], abs=1e-6)


def test_edges_are_a_part_of_the_picture(tiny_run):
    whole, edge = heldout(tiny_run), edges(tiny_run)
    for domain in ("portraits", "animals"):
        for picture, row in edge[domain].items():
            assert row["SAD"] == pytest.approx(whole[f"{domain}, round 0"][picture]["SAD"], abs=1e-6)
            assert 0 < row["SAD-T"] < row["SAD"]


def test_a_selected_generator_is_measured_by_its_transition_where_a_distance_takes_more_pictures(tiny_run):
    found = selected(tiny_run)
    assert {domain: set(values["all"]) for domain, values in found.items()} == {
        "portraits": {"transition"},
        "animals": {"transition"},
    }
    assert all(values["all"]["transition"] >= 0 for values in found.values())


def test_a_fixed_matter_is_asked_plain_and_by_way_of_enhanced_pictures(tiny_run):
    plain = fixed_and_retrained(tiny_run)
    for picture, row in plain["portraits, fixed matter"].items():
        assert row["SAD"] == pytest.approx(heldout(tiny_run)["portraits, round 0"][picture]["SAD"], abs=2e-3)  # 8 bit
    quick = EnhancementConfig(real=["portraits"], move=EnhanceConfig(2), invert=InvertConfig(2, 1, samples=1))
    found = of_domain(tiny_run, "portraits", quick)
    assert {group: len(rows) for group, rows in found.items()} == {
        f"portraits, {what}": 4 for what in ("fixed matter", "fixed matter, guarded", "consensus")
    }
    for picture, row in found["portraits, fixed matter, guarded"].items():
        if row["refused"]:
            assert row["SAD"] == pytest.approx(plain["portraits, fixed matter"][picture]["SAD"])
    assert not [group for group in found if group.endswith("round 1")]
    assert [group for group in plain if is_asked(group)][-1] == "animals, round 1"


def test_the_example_of_the_page_is_an_experiment():
    (code,) = re.findall(r"```python\n(.*?)```", (CONFIGS.parent / "docs" / "experiments.md").read_text(), re.DOTALL)
    names = {"Experiment": Experiment, "heldout": heldout}
    exec(code, names)
    experiment = names["EXPERIMENT"]
    steps = steps_until(planned(config_of(experiment, "never")), experiment.until)
    fit = next(step for step in steps if step.stage == "fit_matter").config["fit"]
    assert (steps[-1].id, fit["steps"], fit["new_background"]) == ("00/evaluate", 300, 0)


def test_unknown_names_are_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r"no experiment 'without-alfa'.* did you mean without-alpha"):
        named("without-alfa")
