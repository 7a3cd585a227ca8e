"""matter.init_from: round 0 starts from a given matter, or is it without a fit; what does not fit is said in a line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import loop
import stylematte
from loop.config.fingerprints import fingerprints
from loop.config.load import load_config
from loop.plan import plan
from stylematte.config import BackboneConfig, MatterFitConfig, MatterLossConfig
from stylematte.errors import ConfigError
from stylematte.module import MatterModule
from stylematte.networks.import_released import import_released
from stylematte.networks.pretrained import extractor_names
from stylematte.networks.weights import load_matter, read_network_config
from stylematte.rgba import MattingBatch
from tests.fixture_files import about, arrays, as_recorded
from tests.stylematte.test_released import SIZES, drawn_input, recipe

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What import-weights writes of the recorded reference state dict."""
    folder = tmp_path_factory.mktemp("imported")
    state = {key: recipe(key, shape) for key, shape in about("stylematte/released")["keys"].items()}
    torch.save(state, folder / "stylematte_synth.pth")
    return import_released(folder / "stylematte_synth.pth", folder / "matter").matter


def test_the_first_step_sees_the_imported_networks_loss(imported: Path) -> None:
    """The recorded alpha of the authors' code is the truth: what the fit's first step says is how far ours is off."""
    picture, truth = drawn_input(*SIZES["96x128"]), arrays("stylematte/released")["96x128/alpha"]
    config = read_network_config(imported)
    module = MatterModule(config, MatterFitConfig(losses=MatterLossConfig.only(l1=1.0)), 0, init_from=str(imported))
    image = picture * module.network.backbone.std + module.network.backbone.mean
    alpha = as_recorded(module.eval()(image).detach(), truth).reshape(truth.shape)
    torch.testing.assert_close(alpha, truth, rtol=0, atol=1e-3)
    for start in (0.0, 1.0):
        wanted = torch.full((1, 1, 96, 128), start)
        one, none, nothing = torch.ones(1), torch.zeros(1), torch.full_like(wanted, 0.5)
        batch = MattingBatch(image, wanted, image, image, wanted, one, one, none, nothing, torch.ones(1, 1, 1, 1))
        with torch.no_grad():
            loss = module.eval().weighted_loss(batch)[0]
            assert loss.item() == pytest.approx((load_matter(imported)(image) - start).abs().mean().item(), abs=1e-6)


def test_a_fit_starts_from_a_timm_file(tmp_path: Path) -> None:
    """The classifier's own features are those that the fit begins with."""
    import timm

    torch.manual_seed(3)
    classifier = timm.create_model("resnet10t", pretrained=False)
    save_file(classifier.state_dict(), tmp_path / "resnet10t.safetensors")
    backbone = BackboneConfig("resnet10t", weights=str(tmp_path / "resnet10t.safetensors"))
    words = ["matter.network.backbone.name=resnet10t", "matter.network.backbone.kwargs={}", "run.rounds=0"]
    weights = f"matter.network.backbone.weights={backbone.weights}"
    matter = loop.train_matter(TINY, f"run.dir={tmp_path / 'run'}", *words, weights, "matter.first.backbone_lr=0")
    learned = matter.network.backbone.extractor.state_dict()
    name = next(name for name in extractor_names("layer1.0.conv1.weight") if name in learned)
    torch.testing.assert_close(learned[name], classifier.state_dict()["layer1.0.conv1.weight"])
    assert matter.network.config.backbone.weights is None


def test_the_given_matter_labels_round_1_without_a_fit(tiny_run: Path, tmp_path: Path) -> None:
    words = [f"run.dir={tmp_path / 'run'}", f"matter.init_from={tiny_run}", "matter.first.steps=0"]
    run = loop.run(TINY, *words)
    given = stylematte.load(tiny_run).folder
    first = run.folder / "rounds" / "00" / "fit_matter"
    assert load_file(first / "matter.safetensors").keys() == load_file(given / "matter.safetensors").keys()
    for name, value in load_file(given / "matter.safetensors").items():
        assert load_file(first / "matter.safetensors")[name].equal(value)
    assert json.loads((first / "matter.json").read_text())["meta"] == {"round": 0, "size": 32, "steps": 0}
    assert [row["round"] for row in run.rounds][-1] == 1
    labels = run.folder / "rounds" / "01" / "portraits" / "label" / "index.jsonl"
    assert any(json.loads(line)["kind"] == "none" for line in labels.read_text().splitlines())
    assert stylematte.load(str(run.folder)).network.training is False


def test_a_given_matter_keeps_how_it_is_shown_photos(tiny_run: Path, tmp_path: Path) -> None:
    given = shutil.copytree(stylematte.load(tiny_run).folder, tmp_path / "matter")
    told = json.loads((given / "matter.json").read_text())
    (given / "matter.json").write_text(json.dumps(told | {"meta": {"size": 32, "max_side": 64}}))
    words = [f"run.dir={tmp_path / 'run'}", f"matter.init_from={given}", "matter.first.steps=0", "run.rounds=0"]
    shown = stylematte.load(loop.run(TINY, *words).folder).options
    assert (shown.size, shown.enlarge) == (48, False)


def test_round_0_starts_from_it_and_its_contents_are_in_the_key(tiny_run: Path, tmp_path: Path) -> None:
    given = tmp_path / "matter"
    shutil.copytree(stylematte.load(tiny_run).folder, given)
    config = load_config(TINY, [f"matter.init_from={given}", "run.rounds=1", "matter.later.start=accepted"])
    steps = {step.id: step.config for step in plan(config, fingerprints(config))}
    assert steps["00/fit_matter"]["init_from"] == str(given)
    assert steps["01/fit_matter"]["init_from"] is None
    before = steps["00/fit_matter"]["init_digests"]
    tensors = load_file(given / "matter.safetensors")
    save_file({name: value * 0.5 if value.ndim else value for name, value in tensors.items()}, given / "new")
    (given / "new").replace(given / "matter.safetensors")
    after = {step.id: step.config for step in plan(config, fingerprints(config))}["00/fit_matter"]["init_digests"]
    assert before["description"] == after["description"]
    assert before["tensors"] != after["tensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["matter.first.steps=0"], r"matter.first.steps=0: round 0 without a fit needs a matter; set matter.init_from"),
        (["matter.later.steps=0"], r"matter.later.steps=0: expected 1 or more"),
        (["matter.init_from=/nowhere"], r"matter.init_from=/nowhere: holds no matter; expected a run after round 0"),
        (
            ["matter.init_from={run}", "matter.network.channels=8"],
            r"its channels is 16, .* 'matter.network.channels=16'",
        ),
        (
            ["matter.init_from={run}", "matter.network.backbone.weights=timm"],
            "init_from: brings its own backbone; set matter.network.backbone.weights=null",
        ),
        (["matter.network.backbone.mean=[0.5]"], r"mean=\[0.5\]: expected three numbers"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(words: list[str], said: str, tiny_run: Path, tmp_path: Path) -> None:
    given = [word.format(run=tiny_run) for word in words]
    with pytest.raises(ConfigError, match=said):
        loop.run(TINY, f"run.dir={tmp_path / 'run'}", *given)
    assert not (tmp_path / "run" / "rounds").exists()


def test_timms_weights_offline_are_one_line_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"matter.network.backbone.weights=timm: .* not in the hub's cache") as caught:
        loop.run(TINY, f"run.dir={tmp_path / 'run'}", "matter.network.backbone.weights=timm")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "rounds").exists()
