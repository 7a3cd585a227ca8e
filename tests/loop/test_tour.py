"""The guided tour and the README's house: every file and folder named exists, and the tour's claims hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from loop.config.fingerprints import Fingerprints
from loop.config.load import load_config
from loop.plan import plan

ROOT = Path(__file__).parents[2]
TOUR = (ROOT / "docs" / "tour.md").read_text()
ROWS = re.findall(r"^\| `([\w/]+\.py)` \| .+ \| (.*?) ?\|$", TOUR, re.MULTILINE)
FILES = [file for file, _ in ROWS]


def imports(file: Path) -> set[str]:
    """The modules and names that `file` imports, anywhere in it, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_it_is_about_23_files_and_starts_at_the_plan() -> None:
    assert FILES[0] == "loop/plan.py"
    assert len(FILES) == len(set(FILES))
    assert 21 <= len(FILES) <= 25


def test_every_file_and_folder_named_exists() -> None:
    named = re.findall(r"`((?:loop|stylematte|stylemattegan)/[\w/.]*)`", TOUR)
    assert len(named) > 22
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize(("file", "claimed"), ROWS)
def test_a_file_imports_what_the_tour_says(file: str, claimed: str) -> None:
    found = imports(ROOT / file)
    for module in re.findall(r"`([\w.]+)`", claimed):
        assert any(f"{name}.".startswith(f"{module}.") for name in found), module


def test_the_stages_come_in_the_order_of_the_plan() -> None:
    config = load_config(ROOT / "configs" / "tiny.yaml")
    planned = [step.stage for step in plan(config, Fingerprints()) if step.domain in (None, "portraits")]
    first_round = [planned[0], *planned[planned.index("label") :]]
    toured = [Path(file).stem for file in FILES if file.startswith("loop/stages/")]
    assert toured == first_round == list(dict.fromkeys(first_round))


def test_the_readme_links_to_it() -> None:
    assert "docs/tour.md" in (ROOT / "README.md").read_text()


def test_the_house_in_the_readme_is_the_one_that_stands() -> None:
    """Each line of the drawing is a folder and what is in it; words ending in .py or / are files and folders."""
    drawing = re.search(r"```\n(stylematte/ .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert drawing is not None
    folder, named = "", []
    for line in drawing[1].splitlines():
        head, *words = line.split()
        if not line.startswith(" "):
            folder = head
        entry = head if head == folder else folder + head
        inside = entry if entry.endswith("/") else folder
        named += [entry] if re.fullmatch(r"[\w/]+(\.py|/)", entry) else []
        named += [inside + word for word in words if re.fullmatch(r"\w+(\.py|/)", word)]
    assert len(named) > 30
    assert not [name for name in named if not (ROOT / name).exists()]
    for package in ("loop", "stylematte", "stylemattegan"):
        rooms = {f"{package}/{path.parent.name}/" for path in (ROOT / package).glob("*/__init__.py")}
        assert not rooms - set(named), "rooms that the drawing leaves out"
