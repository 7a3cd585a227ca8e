"""stylematte data check: exit code 3 and a name for everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from loop.cli.main import main
from stylematte.imagefile import write_alpha, write_rgb


def plant(root: Path) -> None:
    """am-2k with two pictures a split."""
    generator = torch.Generator().manual_seed(0)
    for split, names in (("train", "ab"), ("validation", "cd")):
        for name in names:
            photo = F.interpolate(torch.rand(1, 3, 5, 5, generator=generator), (60, 50))[0]
            write_rgb(root / split / "original" / f"{name}.jpg", photo)
            write_alpha(root / split / "mask" / f"{name}.png", torch.ones(1, 60, 50))


def test_a_sound_folder(tmp_path, capsys):
    plant(tmp_path)
    assert main(["data", "check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "nothing is wrong" in out
    assert "am-2k" in out


def test_everything_wrong_is_listed(tmp_path, capsys):
    plant(tmp_path)
    validation = tmp_path / "validation"
    (validation / "original/leak.jpg").write_bytes((tmp_path / "train/original/a.jpg").read_bytes())
    (validation / "original/c.jpg").write_bytes(b"")
    write_alpha(validation / "mask/leak.png", torch.ones(1, 60, 51))
    write_alpha(validation / "mask/orphan.png", torch.ones(1, 60, 50))
    assert main(["data", "check", str(tmp_path), "--json"]) == 3
    printed = json.loads(capsys.readouterr().out)
    assert sorted(problem["kind"] for problem in printed["problems"]) == ["leak", "mismatched", "orphan", "unreadable"]
    assert {row["split"]: row["pictures"] for row in printed["groups"]} == {"train": 2, "validation": 3}
    assert main(["data", "check", str(tmp_path)]) == 3
    assert "train/original/a and validation/original/leak show the same photo in two splits" in capsys.readouterr().out


def test_no_such_data(tmp_path, capsys):
    assert main(["data", "check", str(tmp_path / "none")]) == 3
    assert main(["data", "check", str(tmp_path)]) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("none: no such folder")
    assert "no known layout; expected manifest.csv" in second
