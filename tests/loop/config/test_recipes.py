"""Every configuration that is shipped loads, plans, and says what it will take, without any work."""

from pathlib import Path

import pytest

from loop.cli.main import main

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
RECIPES = {"portraits", "animals", "both", "both-1024", "small-gpu"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder of which the manifest is there, and a file of the name that it gives."""
    (tmp_path / "x.jpg").touch()
    kinds = ("alpha", "mask", "none")
    rows = [f"x.jpg,,{subject},{kind}" for subject in ("portrait", "animal") for kind in kinds]
    (tmp_path / "manifest.csv").write_text(
        "\n".join(["file,alpha,subject,kind", *rows, "x.jpg,,background,background", "x.jpg,,other,alpha"])
    )
    return tmp_path


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_and_plans(config: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"data.root={root}"] if "root: ???" in text_of(config) else []
    assert main(["plan", str(config), f"run.dir={root / 'run'}", *words]) == 0
    printed = capsys.readouterr().out
    assert "00/prepare" in printed
    assert "missing" in printed
    assert not (root / "run").exists()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_says_what_it_needs(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = next(path for path in CONFIGS if path.stem == name)
    header = config.read_text().split("\nextends:")[0].split("\nrun:")[0]
    for said in ("data.root=", "Hardware:", "Hours:", "Memory:", "Disk:", "not yet run", "stylematte plan"):
        assert said in header, said
    assert main(["plan", str(config), f"data.root={root}", "--devices", "1" if name == "small-gpu" else "8"]) == 0
    assert "memory of fit_generator, each device" in capsys.readouterr().out


def text_of(config: Path) -> str:
    """With what it extends."""
    text = config.read_text()
    parents = [line.removeprefix("extends: ") for line in text.splitlines() if line.startswith("extends: ")]
    return text + "".join(text_of(config.parent / parent) for parent in parents)
