"""stylematte train, train-generator and evaluate of what they made: every command of docs/training.md, on tiny data."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import loop
from loop.cli.main import main
from loop.fitting.validation import Validation
from stylematte.config import MatterFitConfig
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.imagefile import write_rgb
from stylematte.jsonl import read_jsonl
from stylematte.networks.weights import load_matter, read_description
from tests.loop.test_python import write_cutouts

ROOT = Path(__file__).parents[3]
COMMANDS = [
    line.split("#")[0].strip()
    for line in (ROOT / "docs" / "training.md").read_text().splitlines()
    if line.startswith("    stylematte ")
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands name, and a run of real pictures that they are measured on."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "configs").symlink_to(ROOT / "configs")
    write_rgb(folder / "photo.jpg", torch.rand(3, 50, 40, generator=torch.Generator().manual_seed(0)))
    write_cutouts(folder / "cutouts")
    write_manifest_folder(folder / "data", 32)
    return folder


def test_every_command_of_the_page(place: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(place)
    real = [
        "configs/tiny.yaml",
        "run.dir=RUN",
        "data.root=data",
        "matter.first.pick=true",
        "matter.first.validations=2",
    ]
    assert main(["train", *real]) == 0
    said = {}
    for command in COMMANDS:
        capsys.readouterr()
        assert main(shlex.split(command)[1:]) == 0, command
        said[command] = capsys.readouterr().out
    assert len(said) == 6
    check_curve(place, said["stylematte train runs/alone"])
    check_held_out(place, said)


def check_curve(place: Path, said: str) -> None:
    """Two ticks: a line of the curve each, and best/ is the network of the lower."""
    fit = place / "runs" / "alone" / "rounds" / "00" / "fit_matter"
    curve = read_jsonl(fit / "validation" / "curve.jsonl")
    assert [row["step"] for row in curve] == [2, 4]
    assert curve[0]["SAD"] == pytest.approx((curve[0]["SAD/portraits"] + curve[0]["SAD/animals"]) / 2, abs=1e-6)
    best = min(curve, key=lambda row: row["SAD"])
    assert read_description(fit / "validation" / "best")["meta"]["steps"] == best["step"]
    assert f"SAD {best['SAD']:.5g} at step {best['step']}" in said
    assert (fit / "validation" / "sheet.png").is_file()
    scores = read_jsonl(fit.parent / "evaluate" / "per_picture.jsonl")
    means = [[row["SAD"] for row in scores if row["domain"] == domain] for domain in ("portraits", "animals")]
    last = sum(sum(values) / len(values) for values in means) / 2
    assert curve[-1]["SAD"] == pytest.approx(last, rel=0.02)  # the stage scores what it saved in 8 bit
    picked = place / "RUN" / "rounds" / "00" / "fit_matter"
    chosen, first = (load_matter(folder).state_dict() for folder in (picked, picked / "validation" / "best"))
    assert all(chosen[name].equal(first[name]) for name in chosen)
    assert not (place / "runs" / "alone" / "rounds" / "01").exists()


def check_held_out(place: Path, said: dict[str, str]) -> None:
    rows = read_jsonl(place / "RUN" / "rounds" / "00" / "prepare" / "index.jsonl")
    alphas = [row for row in rows if row["kind"] == "alpha"]
    held_out = sum(row["split"] == "heldout" for row in alphas)
    assert 0 < held_out < len(alphas)
    assert f"mean of {held_out} " in said["stylematte evaluate RUN"]
    assert "held-out pictures" in " ".join(said["stylematte evaluate RUN"].split())
    everything = " ".join(said["stylematte evaluate RUN --split all"].split())
    assert f"mean of {len(alphas)} " in everything
    assert "WARNING" in everything


def test_validation_changes_nothing_of_what_is_learned(tiny_run: Path, tmp_path: Path) -> None:
    fit, network = MatterFitConfig(validations=2), load_matter(tiny_run / "rounds" / "00" / "fit_matter").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    validation = Validation(tmp_path, tiny_run / "rounds" / "00" / "prepare", ["portraits"], fit, {"size": 32})
    first, again = validation.measure(network, 50), validation.measure(network, 100)
    assert first == again
    assert [row["step"] for row in read_jsonl(tmp_path / "curve.jsonl")] == [50, 100]
    assert read_description(tmp_path / "best")["meta"]["steps"] == 50, "equal is not better"
    assert network.training
    assert torch.get_rng_state().equal(random)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_a_matter_that_is_of_no_run_needs_data(tmp_path: Path, tiny_run: Path, capsys) -> None:
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is no run, whose held-out pictures could be measured; give --data DIR" in capsys.readouterr().err
    assert main(["evaluate", str(tiny_run)]) == 2
    assert "its pictures were drawn by code" in capsys.readouterr().err


def test_a_part_of_a_run_made_again_leaves_the_manifest_whole(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = [step["id"] for step in json.loads((run / "manifest.json").read_text())["steps"]]
    assert "01/fit_matter" in before
    loop.train_matter(run)
    assert [step["id"] for step in json.loads((run / "manifest.json").read_text())["steps"]] == before
