"""Every `stylematte` line of the README and the docs is one that the command takes: its verb, its options, the keys and
values of its configuration; every `python -m` line names a module. Pages with tests of their own run theirs, too."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from loop.cli.main import parse
from loop.config.load import load_config

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "configs/start/README.md")
CONFIGURED = {"run", "plan", "doctor", "train", "train-generator"}


def lines_of(page: Path, start: str) -> list[str]:
    """Whole lines, continued ones joined, without remarks; each with what is in brackets and without it."""
    text = page.read_text().replace("\\\n", " ")
    found = [line.strip().split("  #")[0].split(" # ")[0].strip() for line in text.splitlines()]
    lines = [re.sub(r"(\w)\|\w+", r"\1", line) for line in found if line.startswith(start)]
    outside = r"\[(--[^\]]*)\]"  # key=[a, b] is a value
    return list(dict.fromkeys(re.sub(outside, how, line) for line in lines for how in (r"\1", "")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_command_takes_every_line(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in lines_of(page, "stylematte "):
        _, verb, *words = shlex.split(line)
        try:
            parse([verb, *words])
        except SystemExit:
            pytest.fail(f"{line}: {capsys.readouterr().err}")
        named = [word for word in words if word.startswith("configs/") and word.endswith(".yaml")]
        if verb in CONFIGURED and named:
            load_config(ROOT / named[0], [w for w in words if re.match(r"[a-z][\w.]*=", w)], check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_of_a_line_is_there(page: Path) -> None:
    for line in lines_of(page, "python -m "):
        assert importlib.util.find_spec(line.split()[2]), line


def test_there_are_lines() -> None:
    assert sum(len(lines_of(page, "stylematte ")) for page in PAGES) > 80
