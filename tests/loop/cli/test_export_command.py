"""`stylematte export --format hub|onnx|pt2` of a matter folder: what it writes, and what it refuses in one line."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
import yaml

import stylematte
from loop.cli.main import main
from loop.config.load import load_config
from stylematte.config import BackboneConfig, FpnConfig
from stylematte.export import _onnx_runner
from stylematte.imagefile import write_rgb
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def matter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("matter")
    network = build_matter(FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8))
    save_matter(folder, network, {"size": 64, "licence": "somebody's: ask"})
    return folder


def export(folder: Path, out: Path, *words: str) -> int:
    return main(["export", str(folder), "-o", str(out), *words])


def test_the_hub_layout_loads_back(matter: Path, tmp_path: Path) -> None:
    """And its card says the licence and the bytes; exported once more, from the hub's names, it is the same."""
    out, again = tmp_path / "hub", tmp_path / "again"
    assert export(matter, out, "--format", "hub") == 0
    assert sorted(f.name for f in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    image = torch.rand(3, 40, 50)
    assert stylematte.load(out)(image).equal(stylematte.load(matter)(image))
    _, front, card = (out / "README.md").read_text().split("---\n", 2)
    printed = yaml.safe_load(front)
    assert (printed["license"], printed["pipeline_tag"]) == ("other", "image-segmentation")
    assert "somebody's: ask" in card
    for name in ("config.json", "model.safetensors"):
        assert f"`{hashlib.sha256((out / name).read_bytes()).hexdigest()}` {name}" in card
    assert json.loads((out / "config.json").read_text())["model_type"] == "stylematte"
    assert export(out, again, "--format", "hub") == 0
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


def test_onnx_and_pt2_are_one_file_in_a_new_folder(matter: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("onnxruntime")
    for kind, says in (("onnx", "any H, W >= 32"), ("pt2", "any H, W from 32 to 16384")):
        assert export(matter, tmp_path / kind, "--format", kind) == 0
        assert [f.name for f in (tmp_path / kind).iterdir()] == [f"matter.{kind}"]
        assert says in capsys.readouterr().out


def test_eight_bits_are_smaller_and_their_loss_is_said(matter: Path, tmp_path: Path, capsys) -> None:
    """Calibrated on three photos, measured on a fourth; two are too few."""
    pytest.importorskip("onnxruntime")
    for name in "abcd":
        write_rgb(tmp_path / "photos" / f"{name}.jpg", torch.rand(3, 48, 64))
    assert export(matter, tmp_path / "full", "--format", "onnx") == 0
    assert export(matter, tmp_path / "small", "--format", "onnx", "--int8", str(tmp_path / "photos")) == 0
    full, small = (tmp_path / name / "matter.onnx" for name in ("full", "small"))
    assert [file.name for file in small.parent.iterdir()] == ["matter.onnx"]
    assert small.stat().st_size < 0.5 * full.stat().st_size  # the small network's graph weighs, too
    said = capsys.readouterr().out.splitlines()[-1]
    off = float(re.search(r"off by ([\d.]+) in the mean of 1 other photos", said)[1])
    image = torch.rand(1, 3, 48, 64)
    found = [_onnx_runner(file)(image) for file in (full, small)]
    assert 0 < off < 0.1
    assert abs(found[0] - found[1]).mean() < 0.1
    few = [str(tmp_path / "photos" / f"{name}.jpg") for name in "ab"]
    assert export(matter, tmp_path / "new", "--format", "onnx", "--int8", *few) == 3
    assert not (tmp_path / "new").exists()
    assert "2 photos to calibrate with, expected 4 or more" in capsys.readouterr().err


REFUSED = [
    (["--format", "onnx", "--size", "64"], 2, "an ONNX file takes any size"),
    (["--format", "pt2", "--half"], 2, "--half is for --format onnx"),
    (["--format", "pt2", "--precision", "fp16"], 2, "bf16 is for --format pt2, fp16 for --format onnx"),
    (["--format", "onnx", "--precision", "fp16", "--half"], 2, "--precision goes without --half and --int8"),
    (["--half"], 2, "--half, --int8, --precision, --size and --trimap are for"),
    (["--format", "pt2", "--int8", "."], 2, "--int8 is for --format onnx"),
    ([], 3, "not a run folder"),
]


@pytest.mark.parametrize(("words", "code", "says"), REFUSED)
def test_refusals(words, code, says, matter, tmp_path, capsys) -> None:
    assert export(matter, tmp_path / "new", *words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["hub", "onnx", "pt2"])
def test_a_broken_matter_leaves_nothing_and_a_full_folder_is_left_alone(kind, matter, tmp_path, capsys) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    broken.mkdir()
    (broken / "matter.json").write_bytes((matter / "matter.json").read_bytes())
    (broken / "matter.safetensors").write_bytes((matter / "matter.safetensors").read_bytes()[:-9])
    assert export(broken, out, "--format", kind) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert export(matter, out, "--format", kind) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert "not a safetensors file" in first
    assert "nothing is overwritten" in second
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_start_weights_of_a_run_are_what_a_fit_goes_on_from(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert export(tiny_run, tmp_path / "start", "--start-weights") == 0
    said = capsys.readouterr().out.strip().removeprefix("to go on from them: ")
    domains = ["animals", "portraits"]
    assert sorted(folder.name for folder in (tmp_path / "start").iterdir()) == domains
    for domain in domains:
        files = sorted(file.name for file in (tmp_path / "start" / domain).iterdir())
        assert files == ["D.safetensors", "G_ema.safetensors", "generator.json"]
    config = load_config(Path("configs/tiny.yaml"), [said])
    assert config.generator.init_from == {domain: str(tmp_path / "start" / domain) for domain in domains}
    assert export(tiny_run, tmp_path / "other", "--start-weights", "--format", "hub") == 2
    assert "--start-weights goes with no other option" in capsys.readouterr().err
