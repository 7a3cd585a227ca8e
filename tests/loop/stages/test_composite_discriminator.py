"""The composite discriminator in the loop: what is refused before any work, what enters the key, and the stage."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from loop.cli.main import main
from loop.config.load import load_config
from loop.config.steps import FitGeneratorStep, read
from loop.engine.stage import Context
from loop.fitting.composite_discriminator import composite_discriminator, frozen_backbone
from loop.stages import fit_generator
from stylematte.errors import ConfigError
from stylemattegan.networks.weights import copy_generator
from stylemattegan.training.composite_discriminator import FILE
from tests.loop.planned import planned

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
SWIN = "{embed_dim: 8, depths: [1, 1, 1, 1], num_heads: [1, 1, 2, 2], window_size: 4}"
PROJECTED = [
    "generator.composite_discriminator.kind=projected",
    f"generator.composite_discriminator.backbone.kwargs={SWIN}",
]

BAD = [
    (
        ["generator.composite_discriminator.kind=projected"],
        "generator.composite_discriminator.backbone.weights is null: give a local .safetensors or .pth file "
        "(nothing is ever downloaded), or say generator.composite_discriminator.random_backbone=true",
    ),
    (
        [
            "generator.composite_discriminator.kind=projected",
            "generator.composite_discriminator.backbone.weights=none.pth",
        ],
        "generator.composite_discriminator.backbone.weights=none.pth: no such file; download it yourself, "
        "or set random_backbone=true instead",
    ),
    (
        [
            *PROJECTED,
            "generator.composite_discriminator.random_backbone=true",
            "generator.composite_discriminator.input_size=50",
        ],
        "generator.composite_discriminator.input_size=50: expected a multiple of 32, or 0",
    ),
    (
        ["generator.composite_discriminator.kind=both"],
        "generator.composite_discriminator.kind=both: Invalid value 'both', expected one of",
    ),
    (
        ["generator.composite_discriminator.plain=0.6", "generator.composite_discriminator.foreground=0.6"],
        "generator.composite_discriminator: plain and foreground add up to 1.2: expected 1 or less",
    ),
    (
        ["generator.composite_discriminator.weight=-1"],
        "generator.composite_discriminator.weight=-1.0: expected 0 or more",
    ),
    (["generator.alpha_regularizer.band=-1"], "generator.alpha_regularizer.band=-1.0: expected 0 or more"),
]


@pytest.mark.parametrize(("words", "line"), BAD)
def test_each_impossible_value_is_one_line(words, line):
    with pytest.raises(ConfigError) as caught:
        load_config(TINY, words)
    assert str(caught.value).startswith(line)
    assert len(str(caught.value).splitlines()) == 1


def test_data_without_backgrounds_are_refused_before_any_work(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,alpha,subject,kind\na.png,b.png,portrait,alpha\n")
    with pytest.raises(ConfigError, match="has no pictures of kind background to put cut-outs on"):
        load_config(TINY, [f"data.root={tmp_path}", "generator.composite_discriminator.kind=composite"])


def configs_of(*words):
    steps = planned(load_config(TINY, words))
    return [step.config for step in steps if step.stage == "fit_generator"]


def test_none_does_not_enter_the_key():
    plain = configs_of()
    assert plain[0]["composite_discriminator"] is plain[0]["alpha_regularizer"] is None
    assert (
        configs_of("generator.composite_discriminator.weight=3", "generator.composite_discriminator.input_size=64")
        == plain
    )
    assert configs_of("generator.alpha_regularizer.mean=1")[0]["alpha_regularizer"] == {"mean": 1.0, "band": 0.0}
    composite = configs_of("generator.composite_discriminator.kind=composite")
    assert (
        configs_of(
            "generator.composite_discriminator.kind=composite", "generator.composite_discriminator.input_size=64"
        )
        == composite
    )


def test_the_backbones_content_enters_the_key_and_its_time_does_not(tmp_path):
    file = tmp_path / "weights.safetensors"
    words = [*PROJECTED, f"generator.composite_discriminator.backbone.weights={file}"]
    save_file({"a": torch.zeros(3)}, file)
    first = configs_of(*words)
    os.utime(file, (1, 1))
    assert configs_of(*words) == first
    save_file({"a": torch.ones(3)}, file)
    os.utime(file, (1, 1))
    assert configs_of(*words) != first


def context(run, folder, *words, previous=None):
    step = next(step for step in planned(load_config(TINY, words)) if step.id == "01/portraits/fit_generator")
    inputs = {name: run / "rounds" / producer for name, producer in step.inputs.items()}
    inputs |= {"previous": previous} if previous else {}
    for name in ("out", "scratch"):
        (folder / name).mkdir(parents=True)
    runtime = {"accelerator": "cpu", "run_dir": str(folder)}
    return Context(inputs, folder / "out", folder / "scratch", step.config, 7, step.id, runtime)


TERMS = ["generator.alpha_regularizer.mean=1", "generator.alpha_regularizer.band=1"]
KINDS = [
    ["generator.composite_discriminator.kind=composite"],
    [*PROJECTED, "generator.composite_discriminator.random_backbone=true"],
]


@pytest.mark.parametrize("words", KINDS, ids=["composite", "projected"])
def test_the_stage_writes_it_and_the_next_round_goes_on_with_it(tiny_run, tmp_path, words):
    words = [*words, *TERMS]
    first = context(tiny_run, tmp_path / "first", *words)
    assert "diverged" not in fit_generator.run(first)
    assert (first.out / FILE).is_file()
    assert {folder.name for folder in (first.out / "snapshots").iterdir() if (folder / FILE).is_file()} == {"00001"}
    curves = (first.out / "metrics.jsonl").read_text()
    assert all(name in curves for name in ("D2/loss", "D2/r1", "alpha/mean", "alpha/band"))
    copy_generator(first.out, tmp_path)  # as `select_generator` does
    step = read(FitGeneratorStep, first.config)
    later = composite_discriminator(context(tiny_run, tmp_path / "later", *words), step, tmp_path)
    fresh = composite_discriminator(context(tiny_run, tmp_path / "fresh", *words), step, None)
    name = next(name for name, _ in later.network.named_parameters())
    assert not torch.equal(later.network.state_dict()[name], fresh.network.state_dict()[name])


def test_a_random_backbone_is_the_same_in_every_round():
    words = [*PROJECTED, "generator.composite_discriminator.random_backbone=true"]
    asked = load_config(TINY, words).generator.composite_discriminator.backbone
    torch.manual_seed(1)
    one = frozen_backbone(asked).state_dict()
    torch.manual_seed(2)
    for name, value in frozen_backbone(asked).state_dict().items():
        assert torch.equal(value, one[name]), name


@pytest.mark.parametrize(
    ("words", "state", "text"),
    [
        (["generator.composite_discriminator.random_backbone=true"], "note", "is frozen at random weights"),
        (
            [
                "generator.composite_discriminator.random_backbone=true",
                "generator.composite_discriminator.backbone.name=swim_tiny",
            ],
            "problem",
            "no such model",
        ),
        (["generator.composite_discriminator.backbone.weights={file}"], "problem", "tensors missing"),
    ],
)
def test_doctor_builds_the_backbone(words, state, text, tmp_path, capsys):
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    words = [word.format(file=tmp_path / "w.safetensors") for word in words]
    code = main(["doctor", str(TINY), *PROJECTED, *words, "--json"])
    (found,) = [check for check in json.loads(capsys.readouterr().out) if check["check"] == "composite_discriminator"]
    assert found["state"] == state
    assert text in found["text"]
    assert code == 1 or state != "problem"
