"""The configuration: overrides, round trip, and one line for each thing that cannot work."""

from pathlib import Path

import pytest

from loop.config.load import load_config, to_yaml
from stylematte.config import DetailConfig
from stylematte.errors import ConfigError

QUICKSTART = Path(__file__).parents[3] / "configs" / "small.yaml"

BAD_OVERRIDES = [
    ("lr=3", "lr=3: Key 'lr' not in 'Config'. Did you mean: 'matter.first.lr'?"),
    ("matter.first.stepz=3", "matter.first.stepz=3: Key 'stepz' not in 'MatterFitConfig'. Did you mean: 'steps'?"),
    ("matter.frist.lr=2", "matter.frist.lr=2: Key 'frist' not in 'MatterConfig'. Did you mean: 'first'?"),
    ("run.rounds=abc", "run.rounds=abc: Value 'abc' of type 'str' could not be converted to Integer"),
    ("run.rounds=2.5", "run.rounds=2.5: Value '2.5' of type 'float' could not be converted to Integer"),
    ("run.rounds=-1", "run.rounds=-1: expected 0 or more"),
    ("run.rounds", "'run.rounds': expected key=value, for example run.rounds=3"),
    ("launch.kind=slurm", "launch.kind=slurm: Invalid value 'slurm', expected one of [inline, torchrun]"),
    ("launch.devices=2", "launch.devices=2: several devices need launch.kind=torchrun"),
    (
        "synthesize.psi=[0,1]",
        "synthesize.psi=[0.0, 1.0]: expected 0 < low <= high (at psi 0 every sample is the same picture)",
    ),
    ("data.size=65", "data.size=65: the generator needs a power of two, 16 or more (64, 128, 256 ...)"),
    (
        "data.root=/no/such/folder",
        "data.root=/no/such/folder: no such folder; expected one with a manifest.csv (null draws pictures by code)",
    ),
    (
        "data.domains.cats=cat",
        "data.domains.cats=cat: only 'portrait' and 'animal' can be drawn; else set data.root",
    ),
    ("accept.must_improve=[birds]", "accept.must_improve: 'birds' is not one of data.domains (portraits, animals)"),
    ("matter.later.real_weight=0.3", "matter.later.real_weight=0.3: expected a number from 0.5 to 1"),
    (
        "generator.fit.batch=6",
        "generator.fit.batch=6: expected a multiple of 4 (the discriminator compares groups of 4 on each device)",
    ),
    (
        "generator.fit.loss=relativist",
        "generator.fit.loss=relativist: Invalid value 'relativist', expected one of [logistic, relativistic]",
    ),
    ("generator.fit.style_mixing=2", "generator.fit.style_mixing=2.0: expected a number from 0 to 1"),
    ("generator.fit.r1_every=0", "generator.fit.r1_every=0: expected 1 or more"),
    ("generator.fit.freeze_d=-1", "generator.fit.freeze_d=-1: expected 0 or more"),
    (
        "generator.fit.blur_sigma=10",
        "generator.fit.blur_sigma=10.0 and blur_kimg=0.0: a blur needs both, or neither",
    ),
    (
        "matter.later.batch=2",
        "matter.later.batch=2: expected 4 or more, at least one for each source of pictures",
    ),
    (
        "matter.later.photometry=gpu",
        "matter.later.photometry=gpu: Invalid value 'gpu', expected one of [cpu, device]",
    ),
    (
        "matter.later.trimap_shown=0.5",
        "matter.later.trimap_shown=0.5: the fpn network cannot do that; set matter.network.variant=detail",
    ),
    (
        "matter.first.losses.semantic=1",
        "matter.first.losses.semantic=1.0: the fpn network cannot do that; set matter.network.variant=detail",
    ),
    (
        "matter.network.channels_last=true",
        "matter.network.channels_last=True: Key 'channels_last' not in 'FpnConfig'. "
        "It belongs to matter.network.variant=detail",
    ),
    (
        "matter.compile=maybe",
        "matter.compile=maybe: Value 'maybe' is not a valid bool (type str)",
    ),
    ("launch.precision=bf16", "launch.precision=bf16: expected 32-true or bf16-mixed"),
    (
        "matter.network.backbone.weights=none.pth",
        "matter.network.backbone.weights=none.pth: no such file; download it yourself or set null for random weights",
    ),
]


@pytest.mark.parametrize(("override", "line"), BAD_OVERRIDES)
def test_each_bad_override_is_one_line(override: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(QUICKSTART, [override])
    assert str(caught.value) == line


def test_a_key_that_is_gone_may_be_off_but_not_on() -> None:
    """A run folder of before has it written out."""
    assert load_config(QUICKSTART, ["matter.later.unlabelled_share=0.0"]) == load_config(QUICKSTART)
    with pytest.raises(ConfigError, match=r"^matter.later.unlabelled_share=0.5: this key is gone; use"):
        load_config(QUICKSTART, ["matter.later.unlabelled_share=0.5"])


def test_float16_is_for_gpus() -> None:
    words = ["launch.accelerator=cpu", "generator.fit.precision=fp16"]
    with pytest.raises(ConfigError, match=r"^generator.fit.precision=fp16: .*cpu has no float16 .*; use bf16 or fp32$"):
        load_config(QUICKSTART, words)
    load_config(QUICKSTART, [words[0], "generator.fit.precision=bf16"])


def test_what_a_file_leaves_to_the_user_is_asked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(QUICKSTART.with_name("real-small.yaml"))
    assert str(caught.value).endswith("real-small.yaml leaves it to you; add data.root=... to the command")
    assert str(caught.value).startswith("data.root: ")


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(QUICKSTART, ["run.rounds=-1", "data.size=65"])
    assert len(str(caught.value).splitlines()) == 2


def test_the_written_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(QUICKSTART, ["synthesize.psi=[0.4,0.9]", "matter.first.lr=1e-4"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config
    assert config.synthesize.psi == (0.4, 0.9)
    assert config.matter.first.lr == 1e-4


@pytest.mark.parametrize("path", sorted(QUICKSTART.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_loads(path: Path, tmp_path: Path) -> None:
    config = load_config(path, [f"data.root={tmp_path}"] if "root" in path.read_text() else [])
    assert config.data.domains


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("run: [", "not valid YAML"),
        ("- a\n- b", "expected a mapping of sections"),
        ("run: 3", "run=3: "),
        ("extends: other.yaml", "no such file"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"did you mean .*quickstart\.yaml\?"):
        load_config(QUICKSTART.with_name("quickstrat.yaml"))


def test_extends_is_overridden_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("run: {rounds: 5, seed: 3}\ndata: {domains: {portraits: portrait}}")
    (tmp_path / "child.yaml").write_text("extends: parent.yaml\nrun: {rounds: 1}")
    config = load_config(tmp_path / "child.yaml")
    assert (config.run.rounds, config.run.seed) == (1, 3)


def test_mappings_of_the_users_own_keys_are_replaced_whole_and_their_keys_can_be_set() -> None:
    config = load_config(QUICKSTART, ["data.domains={animals: animal}", "matter.network.backbone.kwargs={}"])
    assert config.data.domains == {"animals": "animal"}
    assert config.matter.network.backbone.kwargs == {}
    config = load_config(QUICKSTART, ["data.domains.dogs=animal", "matter.network.backbone.kwargs.embed_dim=48"])
    assert set(config.data.domains) == {"portraits", "animals", "dogs"}
    assert config.matter.network.backbone.kwargs["embed_dim"] == 48
    assert config.matter.network.backbone.kwargs["window_size"] == 4


def test_a_variant_brings_its_own_keys_and_keeps_what_it_shares() -> None:
    words = ["matter.network.detail_channels=8", "matter.network.variant=detail"]  # in whatever order
    network = load_config(QUICKSTART, words).matter.network
    assert isinstance(network, DetailConfig)
    assert (network.detail_channels, network.channels, network.backbone.kwargs["embed_dim"]) == (8, 64, 32)
    with pytest.raises(ConfigError, match=r"variant 'detial': no such network; did you mean detail\?"):
        load_config(QUICKSTART, ["matter.network.variant=detial"])


def test_a_number_that_json_cannot_hold_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^matter.first.clip=inf: expected 0 or more$"):
        load_config(QUICKSTART, ["matter.first.clip=inf"])


def test_every_shipped_configuration_reads_back_from_its_resolved_text(tmp_path: Path) -> None:
    for file in sorted(QUICKSTART.parent.glob("*.yaml")):
        config = load_config(file, ["data.root=null"])
        (tmp_path / "config.yaml").write_text(to_yaml(config))
        assert load_config(tmp_path / "config.yaml") == config, file.name
