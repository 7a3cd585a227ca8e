"""Published layouts, drawn, train as they were unpacked, with native crops; official splits stay what they are."""

import json
import shlex
from pathlib import Path

import pytest

import loop
from loop.cli.main import main
from loop.config.found import found
from loop.config.load import load_config
from loop.fitting.mixture import labelled_groups
from loop.stages.prepare import DataRoot
from stylematte.data.drawn.dataset import draw, draw_background
from stylematte.data.folders import load_index, prepare
from stylematte.imagefile import read_alpha, read_rgb, resize, write_alpha, write_rgb
from stylematte.inference.options import sides_seen

ROOT = Path(__file__).parents[3]
TINY = ROOT / "configs" / "tiny.yaml"
SIDE = 96


def plant(folder: Path, images: str, alphas: str, subject: str, numbers: range, enlarged: int = 1) -> None:
    for number in numbers:
        drawn = draw(subject, number, SIDE)
        shape = ((SIDE - 16) * enlarged, SIDE * enlarged)
        write_rgb(folder / images / f"n{number}.jpg", resize(drawn.image[:, : SIDE - 16], shape))
        write_alpha(folder / alphas / f"n{number}.png", resize(drawn.alpha[:, : SIDE - 16], shape))


def plant_all(folder: Path, enlarged: int = 1) -> Path:
    """P3M-10k, AM-2k, image/ + alpha/ and a folder of backgrounds, 80 x 96 pixels a picture or enlarged."""
    plant(folder / "p3m", "train/blurred_image", "train/mask", "portrait", range(3), enlarged)
    plant(folder / "p3m/validation/P3M-500-NP", "original_image", "mask", "portrait", range(3, 5), enlarged)
    plant(folder / "am", "train/original", "train/mask", "animal", range(3), enlarged)
    plant(folder / "am", "validation/original", "validation/mask", "animal", range(3, 5), enlarged)
    plant(folder / "own", "image", "alpha", "animal", range(10, 12), enlarged)
    write_rgb(folder / "behind/deep/b.jpg", draw_background(1, SIDE))
    return folder


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> Path:
    return plant_all(tmp_path_factory.mktemp("roots"))


def words(roots: Path, run: Path) -> list[str]:
    listed = f"[{roots}/p3m, {roots}/am, {{root: {roots}/own, domain: animals}}]"
    size = ["data.max_side=2048", "matter.size=48", "data.heldout={alpha: 0}", "launch.kind=inline"]
    return [
        f"run.dir={run}",
        "run.rounds=0",
        "launch.kind=inline",
        f"data.root={listed}",
        f"data.backgrounds={roots}/behind",
        *size,
    ]


def test_three_layouts_train_together_with_crops(roots, tmp_path, capsys):
    asked = words(roots, tmp_path / "run")
    seen = found(load_config(TINY, asked))
    assert [(layout, count) for _, layout, count in seen.roots] == [
        ("p3m-10k", 5), ("am-2k", 5), ("folders", 2), ("pictures", 1)
    ]  # fmt: skip
    assert seen.groups == {
        ("portraits", "alpha", "train"): 3,
        ("portraits", "alpha", "heldout"): 2,
        ("animals", "alpha", "train"): 5,
        ("animals", "alpha", "heldout"): 2,
        ("background", "background", "train"): 1,
    }
    assert main(["plan", str(TINY), *asked]) == main(["data", "check", str(TINY), *asked]) == 0
    assert "animals: 2 alpha held out, 5 alpha" in capsys.readouterr().out
    run = loop.run(TINY, *asked).folder
    rows = load_index(run / "rounds/00/prepare")
    assert read_rgb(rows[0]["image"]).shape == (3, SIDE - 16, SIDE)
    assert {row["source"] for row in rows if row["split"] == "heldout"} == {
        *(f"p3m/validation/P3M-500-NP/original_image/n{n}.jpg" for n in (3, 4)),
        *(f"am/validation/original/n{n}.jpg" for n in (3, 4)),
    }
    described = json.loads((run / "rounds/00/fit_matter/matter.json").read_text())["meta"]
    assert (described["size"], described["max_side"]) == (48, 2048)
    scored = (run / "rounds/00/evaluate/per_picture.jsonl").read_text().splitlines()
    assert read_alpha(run / "rounds/00/evaluate" / json.loads(scored[0])["prediction"]).shape == (1, SIDE - 16, SIDE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_layouts_of_1280_x_1536_pixels_train_with_crops(tmp_path):
    asked = words(plant_all(tmp_path, 16), tmp_path / "run")
    run = loop.run(TINY, *asked).folder
    rows = [row for row in load_index(run / "rounds/00/prepare") if row["kind"] == "alpha"]
    assert {row["source"].split("/")[0] for row in rows} == {"p3m", "am", "own"}
    assert {read_rgb(row["image"]).shape for row in rows} == {(3, 16 * (SIDE - 16), 16 * SIDE)}
    assert json.loads((run / "rounds/00/fit_matter/matter.json").read_text())["meta"]["max_side"] == 2048


def test_a_matter_says_at_which_sizes_it_saw_subjects():
    assert sides_seen(48, 0, 0.5) == {"size": 48}  # squares
    assert sides_seen(48, 96, 0.0) == {"size": 48}  # whole views alone
    assert sides_seen(48, 96, 0.5) == {"size": 48, "max_side": 96}
    assert sides_seen(48, 96, 1.0) == {"size": 96, "max_side": 96}  # crops alone: photos as they are


def test_plan_says_why_run_could_not_start(roots, tmp_path, capsys):
    asked = [f"run.dir={tmp_path}/run", f"data.root={roots}/p3m", "data.domains={portraits: portrait, animals: animal}"]
    assert main(["plan", str(TINY), *asked]) == 3
    assert "no picture of subject 'animal' in the manifest, it has: portrait" in capsys.readouterr().out
    assert main(["plan", str(TINY), f"run.dir={tmp_path}/run", f"data.root=[{roots}/p3m, {roots}/gone]"]) == 2
    assert f"data.roots[1].root={roots}/gone: no such folder" in capsys.readouterr().err


def test_a_manifest_of_a_layout_reads_as_the_layout_does(roots, tmp_path, capsys):
    out = tmp_path / "manifest.csv"
    assert main(["data", "manifest", str(roots / "am"), "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0] == "file,alpha,trimap,subject,kind,split"
    assert "validation/original/n3.jpg,validation/mask/n3.png,,animal,alpha,validation" in lines
    assert main(["data", "manifest", str(roots / "am"), "-o", str(out)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_the_commands_of_the_page(roots, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/datasets.md").read_text().splitlines()
    commands = [line.strip() for line in page if line.startswith("    stylematte ")]
    assert len(commands) == 4
    monkeypatch.chdir(tmp_path)
    for command in commands:
        said = shlex.split(command.replace("P3M-10k", str(roots / "p3m")).replace("configs/", f"{ROOT}/configs/"))
        assert main(said[1:]) == 0
    assert "portraits: 2 alpha held out, 3 alpha" in capsys.readouterr().out
    assert (tmp_path / "manifests/p3m.csv").read_text().count(",person,alpha,") == 5


def test_foregrounds_train_on_new_backgrounds_and_are_composed_to_be_measured(tmp_path):
    for split, number in (("Training_set/Other", 1), ("Test_set/Adobe-licensed images", 2)):
        drawn = draw("animal", number, 40)
        write_rgb(tmp_path / "comp" / split / "fg" / f"{number}.png", drawn.foreground)
        write_alpha(tmp_path / "comp" / split / "alpha" / f"{number}.png", drawn.alpha)
    write_rgb(tmp_path / "back/b.png", draw_background(1, 64))
    roots = [DataRoot(tmp_path / "comp", "animals"), DataRoot(tmp_path / "back", kind="background")]
    prepare(roots, tmp_path / "out", 32, {"animals": "animal"}, max_side=64)
    train, test, back = load_index(tmp_path / "out")
    assert (train["kind"], train["split"], test["kind"], test["split"]) == ("foreground", "train", "alpha", "heldout")
    assert (read_rgb(train["image"]) == read_rgb(train["foreground"])).all()
    clear = (read_alpha(test["alpha"]) == 0).expand(3, -1, -1)
    middle = read_rgb(back["image"])  # 64 x 64 covers 40 x 40
    assert (read_rgb(test["image"])[clear].mean() - middle.mean()).abs() < 0.1
    (group,) = labelled_groups("animals", [train], 0.5, [])
    assert (group.name, group.share, group.new_background) == ("animals/labelled-foregrounds", 0.5, 1.0)


def test_roots_share_a_domain_as_they_are_asked_to():
    rows = [{"kind": "alpha", "root": root} for root in (0, 0, 0, 1)]
    groups = labelled_groups("d", rows, 0.8, [1.0, 3.0])
    assert [(g.name, round(g.share, 6), len(g.rows)) for g in groups] == [
        ("d/labelled-0", 0.2, 3), ("d/labelled-1", 0.6, 1)
    ]  # fmt: skip
    assert [(g.name, g.share) for g in labelled_groups("d", rows, 0.8, [])] == [("d/labelled", 0.8)]


def test_a_round_with_whole_views_of_photos_larger_than_the_matters_pictures(tmp_path):
    """Photos of 96 pixels, shown whole at 48 to be labelled and measured; the generator's squares have 32."""
    asked = ["data.drawn={alpha: 4, heldout: 2, none: 4, backgrounds: 2}", "data.max_side=96", "matter.size=48"]
    for fit in ("first", "later"):
        asked += [f"matter.{fit}.crop_share=0", f"matter.{fit}.zoom=3", f"matter.{fit}.placement=everywhere"]
    run = loop.run(TINY, f"run.dir={tmp_path / 'run'}", "launch.kind=inline", *asked).folder
    for round_ in ("00", "01"):
        described = json.loads((run / f"rounds/{round_}/fit_matter/matter.json").read_text())["meta"]
        assert (described["size"], "max_side" in described) == (48, False)
        scored = (run / f"rounds/{round_}/evaluate/per_picture.jsonl").read_text().splitlines()
        assert read_alpha(run / f"rounds/{round_}/evaluate" / json.loads(scored[0])["prediction"]).shape == (1, 96, 96)
