"""Every `stylematte` line of the README and the docs that no other test runs, run here in the order of its page.

What the lines name (RUN, DATA, P3M-10k, photos) is drawn by the fixture `place`. A line that takes minutes is run with
words added (SHORTER), one that cannot run in a test is named with the reason (NOT_RUN). A line in none of these tables
runs as it stands, so a new one is run or fails here.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from loop.cli.main import main
from loop.experiments import named
from stylematte.data.drawn.dataset import write_manifest_folder
from stylematte.imagefile import write_alpha, write_rgb
from tests.loop.cli import (
    test_pool_command,
    test_readme,
    test_refine_command,
    test_score_video,
    test_train,
    test_video_command,
)
from tests.loop.cli.test_docs_lines import PAGES, ROOT, lines_of
from tests.loop.serve import test_docs as test_serve
from tests.loop.stages.test_layouts import plant, plant_all
from tests.loop.test_python import LINES, write_cutouts
from tests.stylemattegan.snapshots import networks, tree_of, write_snapshot

ELSEWHERE = {
    "README.md": test_readme.COMMANDS,
    "docs/datasets.md": lines_of(ROOT / "docs/datasets.md", "stylematte "),  # tests/loop/stages/test_layouts.py
    "docs/matte.md": test_readme.COMMANDS,
    "docs/pools.md": test_pool_command.COMMANDS,
    "docs/python.md": LINES,
    "docs/refinement.md": test_refine_command.COMMANDS,
    "docs/serve.md": test_serve.VERBS,
    "docs/training.md": test_train.COMMANDS,
    "docs/video-metrics.md": test_score_video.COMMANDS,
    "docs/video.md": test_video_command.COMMANDS,
}
"""Lines that the page's own test runs as they stand."""

NAMES = {
    "DATA": "data",
    "/path/to/data": "data",
    "CONFIG": "configs/tiny.yaml",
    "ROUND_0": "runs/quickstart/rounds/00/accept",
    "rounds/02": "rounds/01",  # the run of the tests has one round
}
"""What stands for something of the reader's, and for what is called so here."""

SHORTER = {
    # Fits of minutes to days: networks, pictures and steps of configs/tiny.yaml (TINY), where possible one domain and
    # one round; of an experiment one seed and one arm or two, in another folder where a line before asked otherwise.
    "experiment capacity": "TINY ONE --seeds 1 --arms 25-pairs",
    "experiment enhance": "TINY ONE --seeds 1 --arms off",
    "experiment enhance configs/quickstart.yaml": "TINY-FROM --seeds 1 --arms generated -o asked/enhance FEW-MOVES "
    "matter.first.steps=0 matter.later.steps=4",
    "experiment generator-loss": "TINY ONE --seeds 1 --arms logistic",
    "experiment loop-vs-real": "TINY ONE run.rounds=1 --seeds 1 --arms new-backgrounds,photos",
    "experiment loop-vs-real configs": "TINY run.rounds=1 --seeds 1 --arms photos-and-cutouts -o asked/loop",
    "experiment loop-vs-real configs/real-small.yaml": "TINY run.rounds=1 --seeds 1 --arms photos-and-cutouts "
    "-o asked/loop-photos",
    "experiment loop-vs-real configs/real.yaml": "TINY run.rounds=1 --seeds 1 --arms photos-and-cutouts "
    "-o asked/loop-photos-128",
    "experiment loop-vs-real data.drawn.alpha": "TINY ONE run.rounds=1 --seeds 1 --arms new-backgrounds",
    "experiment matter-variants": "TINY ONE --seeds 1 --arms detail matter.network.channels=64",
    "experiment matter-variants data": "TINY ONE --seeds 1 --arms fpn matter.network.channels=64 -o asked/variants",
    "experiment refine": "TINY --seeds 1 --arms raw",
    "experiment refine configs": "TINY --seeds 1 --arms raw -o asked/refine-quickstart",
    "experiment refine configs/quickstart.yaml --seeds 3 --arms": "TINY --seeds 1 -o asked/refine",
    "experiment refine-spoilt": "TINY --seeds 1 --arms raw",
    "experiment refine-spoilt configs/quickstart.yaml --seeds 3 --arms": "TINY --seeds 1 -o asked/spoilt",
    "experiment source": "TINY ONE --seeds 1 --arms chroma",
    "experiment teacher": "TINY ONE run.rounds=1 --seeds 1 --arms both",
    "experiment teacher configs/quickstart.yaml --seeds 2": "TINY ONE run.rounds=1 --seeds 1 --arms two-views "
    "matter.first.steps=0 -o asked/teacher",
    "experiment without-alpha": "TINY --seeds 1 --arms alpha",
    "experiment without-alpha configs": "TINY --seeds 1",
    "experiment without-alpha data.root": "TINY --seeds 1 --arms known-only -o asked/without-alpha",
    "run configs/quickstart.yaml enhance": "TINY ONE run.rounds=1 run.dir=runs/enhanced FEW-MOVES",
    "run configs/real-small.yaml": "TINY run.rounds=0",
    "run configs/small.yaml generator": "TINY ONE run.rounds=1 run.dir=runs/composite",
    "run configs/small.yaml generator.composite_discriminator.kind=projected": "TINY ONE run.rounds=1 "
    "run.dir=runs/projected VIT",
    "run configs/small.yaml run.dir=runs/masks": "TINY 'data.domains={animals: animal}'",
    "run configs/small.yaml run.dir=runs/never": "TINY",  # learns from the other domain alone
    "run CONFIG": "TINY-FROM ONE run.rounds=1 run.dir=runs/imported watch.min_area_spread=null "
    "watch.max_disagreement=null",
    "train configs/real": "TINY",
    "train configs/real.yaml data.root=DATA data.max_side=0": "TINY matter.size=32",
    # Hundreds of steps of an optimisation for each picture: two.
    "invert": "--steps 2 --offset-steps 1 --samples 1",
    "enhance generated": "--steps 2",
    "enhance real": "--steps 2 --invert-steps 2",
    # Processes that import PyTorch; 200 pictures; a network traced at 512 x 512.
    "evaluate RUN --data P3M-500-NP": "--workers 2",
    "measure": "--count 32",
    "export RUN -o out --format pt2 --size": "--size 64",
    # The next line is the same to the same folder, which it would not overwrite.
    "import-generator network-snapshot.pkl -o start": "-o start-rgb",
    "import-generator network-snapshot.pkl -o start --rgba": "",
}
"""Beginning of a line (the longest that fits) -> words put behind it, the last of which count."""

NOT_RUN = {
    "stylematte serve runs": "serves until it is stopped; tests/loop/serve runs the service itself",
    "python -m benchmarks.": "measures for minutes, one of them beside a checkout that is not part of the project",
    "python benchmarks/": "the same",
}
"""Beginning of a line -> why. What benchmarks compute is tested in tests/benchmarks; test_docs_lines finds them."""

VIT = {"embed_dim": 24, "depth": 4, "num_heads": 2, "img_size": 56}
"""Of the file that the fixture calls dinov2_small.safetensors."""


def leaves(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    """key=value words of a configuration, but for where and how long it runs."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "kwargs":
            yield from leaves(value, f"{above}{key}.")
        elif above + key not in ("extends", "run.dir", "run.rounds"):
            yield f"{above}{key}={json.dumps(value)}"


TINY = [
    *leaves(yaml.safe_load((ROOT / "configs/tiny.yaml").read_text())),
    *("matter.first.batch=8", "matter.later.batch=12"),  # of a batch one for each source
    *("generator.fit.reconstruction.steps=0", "generator.fit.reconstruction.d_steps=0", "launch.kind=inline"),
]
WORDS = {
    "TINY": [*TINY, "generator.init_from={}"],
    "TINY-FROM": TINY,
    "ONE": ["data.domains={portraits: portrait}", "refine.pairs=[]"],
    "FEW-MOVES": [f"enhance.{key}" for key in ("count=2", "move.steps=2", "invert.steps=2", "invert.offset_steps=1")],
    "VIT": [f"generator.composite_discriminator.backbone.kwargs={json.dumps(VIT)}"],
}


def added(command: str) -> list[str]:
    """The words of SHORTER; without what an experiment's arms differ in, which may not be set."""
    fitting = [start for start in SHORTER if command.startswith(start)]
    words = (
        [each for word in shlex.split(SHORTER[max(fitting, key=len)]) for each in WORDS.get(word, [word])]
        if fitting
        else []
    )
    verb, name, *_ = [*command.split(), ""]
    arms = named(name).arms.values() if verb == "experiment" and name else ()
    theirs = {word.partition("=")[0] for arm in arms for word in arm}
    return [word for word in words if word.partition("=")[0] not in theirs]


def lines(page: Path) -> list[str]:
    found = [line for start in ("stylematte ", "$ stylematte ", "python ") for line in lines_of(page, start)]
    return [" ".join(line.removeprefix("$ ").split()) for line in found]


def to_run(page: Path) -> list[str]:
    """Lines that no other test runs. `run` is planned by the README's test, so it is among them."""
    theirs = {" ".join(line.split("#")[0].split()) for line in ELSEWHERE.get(str(page.relative_to(ROOT)), ())}
    theirs = {line.removeprefix("stylematte ") for line in theirs if not line.startswith("stylematte run ")}
    return [
        line
        for line in lines(page)
        if line.removeprefix("stylematte ") not in theirs and not line.startswith(tuple(NOT_RUN))
    ]


def words_of(line: str) -> list[str]:
    """Of the command line, names replaced and words added."""
    words = shlex.split(line)[1:]
    for name, here in NAMES.items():
        words = [re.sub(rf"(?<![\w/.-]){name}(?![\w.-])" if name.isupper() else name, here, word) for word in words]
    return [*words, *added(line.removeprefix("stylematte "))]


@pytest.fixture(scope="module")
def place(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the lines name."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "configs").symlink_to(ROOT / "configs")
    shutil.copytree(tiny_run, folder / "runs/quickstart")
    write_manifest_folder(folder / "data", 32)
    manifest = (folder / "data/manifest.csv").read_text().splitlines()  # configs/real-small.yaml asks for others, too
    rows = [row.replace(",animal,alpha,", ",other,alpha,") if "_0003" in row else row for row in manifest]
    (folder / "data/manifest.csv").write_text("\n".join([*rows, ""]))
    plant_all(folder)
    plant(folder / "p3m/validation/P3M-500-P", "blurred_image", "mask", "portrait", range(5, 7))
    for name, here in (("P3M-10k", "p3m"), ("P3M-500-NP", "p3m/validation/P3M-500-NP"), ("AM-2k", "am")):
        (folder / name).symlink_to(folder / here)
    draw = torch.Generator().manual_seed(0)
    for name in ("photo.jpg", *(f"photos/{number}.jpg" for number in range(4))):
        write_rgb(folder / name, torch.rand(3, 50, 40, generator=draw))
    write_alpha(folder / "truth/photo.png", torch.zeros(1, 50, 40))
    write_cutouts(folder / "cutouts")
    shutil.copy(folder / "cutouts/0.png", folder / "cutout.png")
    with zipfile.ZipFile(folder / "cars.zip", "w") as cars:
        for number in range(2):
            write_rgb(folder / "car.png", torch.rand(3, 400, 520, generator=draw))
            cars.write(folder / "car.png", f"{number}.png")
    write_snapshot(folder / "network-snapshot.pkl", tree_of(*networks(3, img_resolution=32)))
    vit = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **VIT)
    save_file(vit.state_dict(), folder / "dinov2_small.safetensors")
    detail = ["matter.network.variant=detail", "matter.network.detail_channels=8", f"data.root={folder}/data"]
    assert main(["train", str(ROOT / "configs/tiny.yaml"), f"run.dir={folder}/RUN", "launch.kind=inline", *detail]) == 0
    (folder / "MATTER").symlink_to(folder / "RUN/rounds/00/accept")
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("page", [page for page in PAGES if to_run(page)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_lines_of_the_page(
    page: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for line in to_run(page):
        words = words_of(line)
        if words[0] == "export":  # each line for itself: what is there is not overwritten
            shutil.rmtree(words[words.index("-o") + 1], ignore_errors=True)
        code = main(words)
        assert code == 0, f"{line}\n{capsys.readouterr().err}"


def test_the_tables_name_lines_that_are_there() -> None:
    there = [line for page in PAGES for line in lines(page)]
    for start in (*(f"stylematte {start}" for start in SHORTER), *NOT_RUN):
        assert any(line.startswith(start) for line in there), start


def test_what_takes_long_is_made_shorter() -> None:
    """A new fit or experiment of the docs needs a row of SHORTER."""
    for line in (line for page in PAGES for line in to_run(page)):
        verb, *words = line.split()[1:]
        if verb in ("run", "train", "train-generator") or (verb == "experiment" and words):
            assert added(line.removeprefix("stylematte ")), line
