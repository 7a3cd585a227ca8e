"""Stage `enhance` and the verbs in latent space on the tiny run: plan, files, resuming, sources, refusals."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import loop
from loop.cli.main import main
from loop.config.load import load_config
from loop.config.steps import FitMatterStep, read
from loop.engine.stage import Context
from loop.fitting.mixture import matter_sources
from loop.report.read import read_run
from loop.stages import enhance
from stylematte.errors import ConfigError
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, write_alpha, write_rgb, write_rgba
from stylematte.networks.weights import load_matter
from stylemattegan.enhance import Verdict
from stylemattegan.latent_config import InvertConfig
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.networks.weights import save_generator
from tests.loop.cli.test_matte import huge_png
from tests.loop.planned import planned

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
ON = (
    *("enhance.generated=[portraits]", "enhance.real=[portraits]", "enhance.count=2", "enhance.move.steps=2"),
    *("enhance.invert.steps=2", "enhance.invert.offset_steps=1", "enhance.invert.samples=1", "matter.later.batch=8"),
)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def context(run: Path, step_id: str, place: Path, **inputs: Path) -> Context:
    step = next(s for s in planned(load_config(TINY, [f"run.dir={run}", *ON])) if s.id == step_id)
    there = {name: run / "rounds" / id_ for name, id_ in step.inputs.items()} | inputs
    out = place / "out"
    out.mkdir(parents=True)
    return Context(there, out, place / "scratch", step.config, step.seed, step.id, {})


def test_it_is_in_the_plan_where_it_is_on() -> None:
    assert not [s for s in planned(load_config(TINY)) if s.stage == "enhance"]
    steps = {s.id: s for s in planned(load_config(TINY, [*ON, "run.control=true"]))}
    assert "01/animals/enhance" not in steps
    assert steps["01/fit_matter"].inputs["enhanced/01/portraits"] == "01/portraits/enhance"
    assert steps["01/fit_matter"].config["enhanced"] == 1.0
    assert steps["01/control/fit_matter"].config["enhanced"] == 0.0
    with pytest.raises(ConfigError, match=r"enhance.real: 'cats' is not one of data.domains"):
        load_config(TINY, ["enhance.real=[cats]"])
    with pytest.raises(ConfigError, match="enhance: moves pictures in a generator, and none is fitted"):
        load_config(TINY, [*ON, "matter.later.roads.pairs=0"])


def test_the_stage_goes_on_and_gives_the_same_manifest(tiny_run: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    drawn = rows(tiny_run / "rounds/01/portraits/select")[:3]
    refused = [row | {"kept": False, "rule": "disagreement"} for row in drawn]
    (pairs / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in refused))
    first = context(tiny_run, "01/portraits/enhance", tmp_path / "a", pairs=pairs)
    metrics = enhance.run(first)
    assert (metrics["generated"], metrics["real"]) == (2, 2)
    found = rows(first.out)
    assert sorted(row["disagreement"] for row in refused)[0] == next(
        row["disagreement"] for row in refused if row["id"] == found[0]["id"]
    )
    for row in found:
        assert row["rmse"] <= 0.03
        assert row["kept"] == (row["reason"] is None)
        assert read_rgba(first.out / row["rgba"]).shape == (4, 32, 32)
        assert {"losses_before", "losses_after", "gate", "latents", "move"} <= set(row)
    assert read_rgb(first.out / "before_after.png").shape[0] == 3
    again = context(tiny_run, "01/portraits/enhance", tmp_path / "b", pairs=pairs)
    enhance.run(again)
    assert (again.out / "index.jsonl").read_bytes() == (first.out / "index.jsonl").read_bytes()
    items = sorted((again.scratch / "enhanced/items").iterdir())
    times = [item.stat().st_mtime_ns for item in items[1:]]
    items[0].unlink()  # as if the stage had been killed before it
    third = replace(again, out=tmp_path / "third")
    third.out.mkdir()
    enhance.run(third)
    assert [item.stat().st_mtime_ns for item in items[1:]] == times
    assert {row["id"] for row in rows(third.out)} == {row["id"] for row in found}


def test_kept_pairs_join_the_fit(tiny_run: Path, tmp_path: Path) -> None:
    write_rgba(tmp_path / "enhanced/rgba/1.png", torch.rand(4, 32, 32))
    row = {"id": "1", "rgba": "rgba/1.png", "kept": True}
    (tmp_path / "enhanced/index.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"kept": False}) + "\n")
    ctx = context(tiny_run, "01/fit_matter", tmp_path / "fit", **{"enhanced/01/portraits": tmp_path / "enhanced"})
    sources = {source.name: source for source in matter_sources(ctx, read(FitMatterStep, ctx.config))}
    joined = sources["portraits/enhanced"]
    assert [Path(row["rgba"]).name for row in joined.rows] == ["1.png"]
    assert joined.new_background == 1.0
    assert joined.share > 0
    assert sum(source.share for source in sources.values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_whole_run_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = loop.run(TINY, f"run.dir={tmp_path / 'run'}", *ON, "select.max_disagreement=0.05").folder
    assert "Enhanced pictures" in (run / "report.html").read_text()
    assert read_run(run).rounds[1].enhanced["portraits"].total > 0
    assert main(["status", str(run)]) == 0
    assert "enhance" in capsys.readouterr().out


@pytest.fixture(scope="module")
def place(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cut-outs, a photo, and files that are none."""
    folder = tmp_path_factory.mktemp("latent")
    cut = torch.zeros(4, 40, 60)
    cut[:, 10:36, 20:44] = torch.rand(4, 26, 24, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.7
    write_rgba(folder / "cutout.png", cut)
    write_rgba(folder / "empty.png", torch.cat([torch.rand(3, 20, 20), torch.zeros(1, 20, 20)]))
    write_alpha(folder / "grey.png", torch.rand(1, 30, 30, generator=torch.Generator().manual_seed(0)))
    write_rgb(folder / "photo.jpg", torch.rand(3, 50, 40, generator=torch.Generator().manual_seed(0)))
    write_rgb(folder / "flat.png", torch.full((3, 30, 30), 0.5))
    (folder / "broken.png").write_bytes((folder / "cutout.png").read_bytes()[:100])
    huge_png(folder / "huge.png")
    torch.manual_seed(0)
    sizes = {"img_channels": 3, "channel_base": 64, "channel_max": 4}
    G = Generator(8, 8, 32, **sizes, num_layers=4, margin_size=4)
    save_generator(folder / "rgb", G, Discriminator(32, **sizes), G, {})
    return folder


DOCS = (ROOT / "docs" / "enhancement.md").read_text()
COMMANDS = [line.split("#")[0].strip() for line in DOCS.splitlines() if line.startswith("stylematte ")]
QUICK = {
    "invert": "--steps 2 --offset-steps 1 --samples 1",
    "enhance": "--steps 2 --invert-steps 2",
    "edit-directions": "--count 2 --seeds 1",
    "matte": "",
    "run": "",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(command: str, tiny_run: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT if command.startswith("stylematte run") else place)
    quick = InvertConfig(steps=2, offset_steps=1, samples=1)
    monkeypatch.setattr("loop.fitting.enhanced_mattes.InvertConfig", lambda: quick)
    words = shlex.split(command.replace("runs/quickstart", str(tiny_run)))[1:]
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
    words += shlex.split(QUICK[words[0]])
    words[0] = "plan" if words[0] == "run" else words[0]
    assert main(words) == 0
    if words[0] == "invert":
        times = {file: file.stat().st_mtime_ns for file in (place / "latents").glob("*.safetensors")}
        assert times
        assert main(words) == 0
        assert {file: file.stat().st_mtime_ns for file in times} == times


def test_the_page_names_every_verb() -> None:
    assert {re.split(r"\s", command)[1] for command in COMMANDS} >= set(QUICK)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("invert broken.png -o out", 3, "broken.png"),
        ("invert huge.png -o out", 3, "huge.png: more than 89478485 pixels"),
        ("enhance real broken.png -o out", 3, "broken.png: broken picture"),
        ("enhance real huge.png -o out", 3, "huge.png: more than 89478485 pixels"),
        ("matte huge.png -o out --enhance RUN/rounds/01/portraits/select_generator", 3, "more than 89478485 pixels"),
        ("invert cutout.png -o out --generator rgb", 3, "rgb: the generator makes pictures of 3 channels; expected 4"),
        ("enhance generated -o out --generator rgb", 3, "rgb: the generator makes pictures of 3 channels; expected 4"),
        ("edit-directions -o out --generator rgb", 3, "rgb: the generator makes pictures of 3 channels; expected 4"),
        ("matte photo.jpg -o out --enhance rgb", 3, "rgb: the generator makes pictures of 3 channels; expected 4"),
        ("invert grey.png -o out", 3, "has no transparency: give a cut-out, or --matter"),
        ("invert empty.png -o out", 3, "no subject: alpha is nowhere above"),
        ("invert nowhere.png -o out", 3, "nowhere.png: no such file"),
        ("invert cutout.png -o out --steps 0", 2, "--steps=0: expected 1 or more"),
        ("enhance real -o out", 2, "enhance real: name photos"),
        ("enhance generated -o out --trust 2", 2, "trust=2.0: expected a number from 0 to 1"),
        ("enhance generated -o out --matter broken.onnx", 3, "broken.onnx: no such file"),
        ("edit-directions -o out --count 999", 2, "--count 999: expected 1 to"),
    ],
)
def test_what_is_refused(
    tiny_run: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    command: str,
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(place)
    extra = []
    if not command.startswith("matte") and "--generator" not in command:
        extra += ["--generator", str(tiny_run), "--domain", "portraits"]
    if command.startswith(("enhance", "matte")) and "--matter" not in command:
        extra += ["--matter", str(tiny_run)]
    assert main([*command.replace("RUN", str(tiny_run)).split(), *extra]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(Path("out").glob("*.png")), "nothing is made before it is refused"


def test_no_subject_is_reported_not_forced(tiny_run: Path, place: Path, tmp_path: Path, capsys) -> None:
    """Noise, grey noise, one colour: no pair, and a line on each that says why."""
    names = ["photo.jpg", "grey.png", "flat.png"]
    words = ["--generator", str(tiny_run), "--domain", "portraits", "--matter", str(tiny_run), "-o", str(tmp_path)]
    photos = [str(place / name) for name in names]
    assert main(["enhance", "real", *photos, *words, *shlex.split(QUICK["enhance"])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(":")[0] for line in lines[:3]} == set(names)
    assert all("refused, world: outside the generator's, reconstructed at distance" in line for line in lines[:3])
    assert lines[3].startswith("0 of 3 became pairs")


def test_an_accepted_matte_replaces_every_file_and_the_matter_is_loaded_once(
    tiny_run: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The untrained matter would be refused, so the gate is opened here."""
    loads = []

    def counted(folder: Path, *args: str) -> torch.nn.Module:
        loads.append(folder)
        return load_matter(folder, *args)

    monkeypatch.setattr("stylematte.inference.matter.load_matter", counted)
    monkeypatch.setattr("loop.fitting.enhanced_mattes.InvertConfig", lambda: InvertConfig(2, 1, samples=1))
    monkeypatch.setattr(
        "loop.fitting.enhanced_mattes.Enhancer.judged",
        lambda self, found, numbers: [Verdict(found.matte[0], None, {})],
    )
    words = [str(place / "photo.jpg"), "-o", str(tmp_path), "--matter", str(tiny_run), "--background", "white"]
    words += ["--enhance", str(tiny_run / "rounds/01/portraits/select_generator")]
    assert main(["matte", *words]) == 0
    assert "photo.jpg: enhanced, moved picture by 0.0" in capsys.readouterr().err
    assert len(loads) == 1
    alpha, cutout = read_alpha(tmp_path / "photo_alpha.png"), read_rgba(tmp_path / "photo_cutout.png")
    assert torch.equal(cutout[3:], alpha)
    white = cutout[:3] * alpha + 1 - alpha
    assert torch.allclose(read_rgb(tmp_path / "photo_composite.png"), white, atol=2 / 255)
