"""`stylematte pool` and `build-dataset`: every command of docs/pools.md as it stands there, and what they refuse."""

import json
import re
import shlex
from pathlib import Path

import pytest

from loop.cli.main import main

ROOT = Path(__file__).parents[3]
COMMANDS = re.findall(r"^    stylematte (.+)$", (ROOT / "docs/pools.md").read_text(), re.MULTILINE)


def test_the_commands_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) == 7
    for command in COMMANDS:
        words = [str(ROOT / word) if word.startswith("configs/") else word for word in shlex.split(command)]
        assert main(words) == 0, command
    said = capsys.readouterr().out
    assert "8 pairs in sets/drawn" in said
    assert "chroma\ncomposite\ndirectory\n" in said
    exported = {file.stem for file in (tmp_path / "sets/files/fg").iterdir()}
    assert exported == {file.stem for file in (tmp_path / "sets/files/alpha").iterdir()}
    assert len(exported) >= 8


def test_damage_ends_with_code_3_and_names_the_shard(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["build-dataset", str(ROOT / "configs/datasets/drawn.yaml"), "out=set", "count=2", "per_shard=4"])
    (tmp_path / "set/pool/000000.tar").write_bytes(b"short")
    capsys.readouterr()
    assert main(["pool", "verify", "set/pool", "--json"]) == 3
    assert "000000.tar: 5 bytes, its index says" in json.loads(capsys.readouterr().out)["problems"][0]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["pool", "stats", "nowhere"], 3, "nowhere: no pool; expected shards"),
        (["pool", "split", "x", "-o", "y", "--val", "1"], 2, "--val 1.0: expected a share"),
        (["pool", "dedup", "x", "--near", "99"], 2, "--near 99: expected 0 to 32"),
        (["pool", "split", "x", "-o", "x/"], 2, "is the pool itself"),
        (["build-dataset"], 2, "name a configuration"),
        (["build-dataset", "nothing.yaml"], 2, "nothing.yaml: cannot be read"),
        (["pool", "stats", "nosuch://x"], 3, "nosuch"),
    ],
)
def test_what_cannot_be_meant(words, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
