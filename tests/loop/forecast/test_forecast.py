"""Forecasts: held against measured seconds, scaled by finished steps, steps side by side."""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from loop.cli.main import main
from loop.config.fingerprints import Fingerprints
from loop.config.load import load_config
from loop.engine.config import LaunchConfig
from loop.engine.step import Step
from loop.forecast import seconds
from loop.forecast.forecast import forecast, wall_seconds
from loop.forecast.hardware import CPU, H200, hardware
from loop.forecast.measured import factors, factors_of
from loop.forecast.seconds import StepSeconds
from loop.forecast.size import disk
from loop.plan import plan

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
MEASURED = {"prepare": 20, "fit_matter": 440, "label": 43, "fit_generator": 887, "evaluate": 1.4}
MEASURED |= {"select_generator, synthesize, select, watch": 37}
"""Process seconds on one core of an AMD EPYC of the whole of configs/real-small.yaml, one thread; 1049 pictures. The
generators have what is left of a whole run's 1429; the other stages were measured one by one, in an earlier one."""
PREPARE_AT, LABEL_AT = {512: 20, 256: 13.2}, {512: 43, 256: 33}
"""The same two stages with data.max_side of 512, as configured, and of 256."""
COUNTS = {"portrait": {"alpha": 13, "mask": 383, "none": 207}, "animal": {"pseudo-alpha": 12, "none": 323}}
COUNTS |= {"other": {"alpha": 23}, "background": {"background": 84}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A manifest of as many pictures as the measured run had; of one, of their mean area, the size is read."""
    Image.new("RGB", (456, 352)).save(tmp_path / "x.jpg")
    rows = [
        f"x.jpg,,{subject},{kind}" for subject, kinds in COUNTS.items() for kind, n in kinds.items() for _ in range(n)
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,alpha,subject,kind", *rows]))
    return tmp_path


def test_real_small_is_within_30_percent_of_what_was_measured(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seconds, "cores", lambda: 1)
    config = load_config(ROOT / "configs" / "real-small.yaml", [f"data.root={root}", "launch.at_once=1"])
    costs, found = StepSeconds(config, CPU), defaultdict[str, float](float)
    for step in plan(config, Fingerprints()):
        found[step.stage] += costs.of(step)
    assert sum(found.values()) == pytest.approx(sum(MEASURED.values()), rel=0.3)
    for stages, seconds_of in MEASURED.items():
        if seconds_of > 5:
            assert sum(found[stage] for stage in stages.split(", ")) == pytest.approx(seconds_of, rel=0.3), stages


@pytest.mark.parametrize("side", PREPARE_AT)
def test_photos_that_keep_their_shape_take_longer(side: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seconds, "cores", lambda: 1)
    words = [f"data.root={root}", f"data.max_side={side}"]
    costs = StepSeconds(load_config(ROOT / "configs" / "real-small.yaml", words), CPU)
    steps = plan(costs.config, Fingerprints())
    for stage, measured in (("prepare", PREPARE_AT), ("label", LABEL_AT)):
        found = sum(costs.of(step) for step in steps if step.stage == stage)
        assert found == pytest.approx(measured[side], rel=0.3), stage


def test_disk_of_photos_that_keep_their_shape(root: Path) -> None:
    """456 x 352 three bytes a pixel; again, and one more, for each alpha; and one for each mask's trimap."""
    words = [f"data.root={root}", "data.max_side=512"]
    costs = StepSeconds(load_config(ROOT / "configs" / "real-small.yaml", words), CPU)
    step = plan(costs.config, Fingerprints())[0]
    with_alpha = 13 + 383 + 12 + 23
    expected = 456 * 352 * (3 * 1045 + 4 * with_alpha + 383)
    assert step.stage == "prepare"
    assert disk(costs, [step]) == pytest.approx(expected)
    costs.config.data.max_side = 228  # a quarter of the pixels
    del costs.pictures
    assert disk(costs, [step]) == pytest.approx(expected / 4)


def test_the_official_generator_on_the_gpu_it_was_measured_on() -> None:
    words = ["data.size=256", "launch.accelerator=gpu", "generator.fit.steps=420", "generator.init_from={}"]
    words += [f"generator.network.{key}=32768" for key in ("channel_base", "d_channel_base")]
    words += [f"generator.network.{key}=512" for key in ("channel_max", "d_channel_max")]
    words += ["generator.network.num_layers=14", "generator.network.margin_size=10", "launch.at_once=1"]
    config = load_config(ROOT / "configs" / "quickstart.yaml", words)
    step = next(step for step in plan(config, Fingerprints()) if step.stage == "fit_generator")
    measured = 0.720 + 0.349 + 3 * 0.142 + 0.466 / 16  # G both ways, G forward, D three times, R1 every 16 steps
    assert StepSeconds(config, H200).of(step) / 420 == pytest.approx(measured, rel=0.3)


def test_an_unknown_gpu_says_what_it_is_scaled_from() -> None:
    a100 = hardware("a100")
    assert a100.source.startswith(
        "no measurement on this GPU: scaled from the H200 by published float32 peaks (x 0.29)"
    )
    assert a100.macs == pytest.approx(H200.macs * 19.5 / 67)


def test_what_was_measured_comes_before_the_model() -> None:
    config = load_config(TINY, ["run.rounds=2"])
    steps = plan(config, Fingerprints())
    finished = {"01/portraits/label": 30.0}
    found = forecast(config, steps, CPU, finished)
    costs = StepSeconds(config, CPU)
    factor = factors_of(finished, steps, costs)["label"]
    assert factor == pytest.approx(30 / costs.of(next(step for step in steps if step.id == "01/portraits/label")))
    assert found.seconds["01/portraits/label"] == 30
    assert found.seconds["02/portraits/label"] == pytest.approx(30)
    assert found.wall - found.remaining == pytest.approx(30)
    assert any("label x" in line for line in found.assumptions)


def test_another_run_scales_the_stages_that_it_has(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = factors(tiny_run, CPU)
    assert {"prepare", "fit_matter", "fit_generator", "label", "watch"} <= found.keys()
    config = load_config(tiny_run / "config.yaml")
    expected = forecast(config, plan(config, Fingerprints()), CPU, {}, tiny_run).seconds
    record = json.loads((tiny_run / "rounds/00/prepare/stage.json").read_text())
    assert expected["00/prepare"] == pytest.approx(record["seconds"])  # the only one of its stage
    assert main(["plan", str(TINY), "--measured", str(tiny_run)]) == 0
    assert "so the hours are those of its machine" in " ".join(capsys.readouterr().out.split())


def test_two_fits_side_by_side_take_as_long_as_the_longer_one() -> None:
    names = [("00/prepare", None), ("01/a/fit_generator", "a"), ("01/b/fit_generator", "b"), ("01/fit_matter", None)]
    inputs = [
        {},
        {"data": "00/prepare"},
        {"data": "00/prepare"},
        {"a": "01/a/fit_generator", "b": "01/b/fit_generator"},
    ]
    steps = [
        Step(id_, id_.rsplit("/", 1)[-1], 1, domain, read, {}, 0, "fit" in id_, 1)
        for (id_, domain), read in zip(names, inputs, strict=True)
    ]
    took = dict(zip((step.id for step in steps), (1.0, 5.0, 7.0, 2.0), strict=True))
    assert wall_seconds(steps, took, LaunchConfig(at_once=2)) == 1 + 7 + 2
    assert wall_seconds(steps, took, LaunchConfig(at_once=1)) == 1 + 5 + 7 + 2


def test_eight_devices_share_a_batch() -> None:
    words = ["data.size=512", "matter.first.batch=64", "matter.first.steps=1000", "matter.first.workers=8"]
    words += ["matter.later.batch=64", "generator.init_from={}"]
    spent = []
    for devices in (1, 8):
        launch = [
            "launch.kind=torchrun",
            f"launch.devices={devices}",
            "launch.accelerator=gpu",
            "matter.later.batch=64",
        ]
        config = load_config(ROOT / "configs" / "quickstart.yaml", [*words, *launch, "generator.fit.batch=32"])
        costs = StepSeconds(config, H200)
        spent.append(costs.of(plan(config, Fingerprints())[1]) - seconds.START - seconds.FIRST_LOOK)
    assert 3 < spent[0] / spent[1] <= 8


def test_plan_prints_a_forecast(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["plan", str(TINY), f"run.dir={tmp_path / 'run'}", "generator.fit.batch=32", "matter.first.batch=8"]
    assert main([*words, "matter.later.batch=8", "--devices", "8", "--on", "rtx3090"]) == 0
    printed = capsys.readouterr().out
    assert "in all" in printed
    assert "memory of fit_generator, each device" in printed
    assert "8 x RTX3090: as many as launch.devices" in printed
    assert "no measurement on this GPU" in printed
    assert main([*words[:3], "--on", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["forecast"]
    assert found["wall"] == pytest.approx(sum(found["seconds"].values()))  # nothing side by side


def test_hardware_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(TINY), "--on", "abacus"]) == 2
    assert "--on abacus: expected one of cpu, h200" in capsys.readouterr().err
