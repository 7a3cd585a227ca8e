"""`stylematte import-weights`: a good file becomes a matter that mattes photos of any size; a bad one is one line."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from stylematte.imagefile import read_alpha, write_rgb
from stylematte.networks.released.checkpoint import AUTHORS
from stylematte.networks.released.keys import released_keys, renamed, to_released
from stylematte.networks.released.network import ReleasedStyleMatte

TABLE = released_keys(AUTHORS)


class Evil:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def write_bad(path: Path, kind: str) -> None:
    names = {key: torch.zeros(1) for key in TABLE}
    if kind == "keys":
        names.pop("fpn.conv1x1.2.bias")
    if kind == "extra":
        names["decoder.query"] = torch.zeros(1)
    states: dict[str, object] = {
        "another": {"layer1.0.conv1.weight": torch.zeros(2, 2)},
        "code": {**names, "hook": Evil()},
        "list": [torch.zeros(1)],
        "object": {**names, "conv.bias": 3},
    }
    torch.save(states.get(kind, names), path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    if kind == "text":
        path.write_text("<html>404</html>")


BAD = [
    ("keys", "not StyleMatte's weights: 1 of 357 tensors missing (fpn.conv1x1.2.bias)"),
    ("extra", "not StyleMatte's weights: 1 unknown (decoder.query)"),
    ("another", "357 of 357 tensors missing"),
    ("shapes", "has shape (1,), expected (96, 3, 4, 4)"),
    ("object", "conv.bias is a int, not a tensor"),
    ("list", "holds a list, not named tensors"),
    ("code", "names posix.system, which weights do not need; nothing of it was run"),
    ("truncated", "cannot be read as a zip archive, perhaps truncated"),
    ("text", "not a file of torch.save: neither a zip archive nor a pickle"),
    ("pickle", "names posix.system, which weights do not need; nothing of it was run"),
]


@pytest.mark.parametrize(("kind", "says"), BAD, ids=[kind for kind, _ in BAD])
def test_a_wrong_file_is_one_line_and_leaves_nothing(
    kind: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bad(tmp_path / "file.pth", kind)
    assert main(["import-weights", "file.pth", "-o", "out"]) == 3
    error = capsys.readouterr().err
    assert says in error
    assert "file.pth" in error
    assert error.count("\n") == 1
    assert len(error) < 500
    assert [file.name for file in tmp_path.iterdir()] == ["file.pth"]


def test_what_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    for words, says in (
        ([str(tmp_path / "none.pth"), "-o", str(tmp_path / "new")], "none.pth: no such file"),
        ([str(tmp_path / "none.pth"), "-o", str(tmp_path / "out")], "nothing is overwritten"),
        ([str(tmp_path / "none.pth"), "-o", str(tmp_path / "out" / "mine")], "nothing is overwritten"),
    ):
        assert main(["import-weights", *words]) == 3
        assert says in capsys.readouterr().err
    assert (tmp_path / "out" / "mine").read_text() == "kept"
    assert not (tmp_path / "new").exists()


def test_a_released_file_becomes_a_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of transformers 5; then a photo whose sides are odd, at its own size."""
    torch.manual_seed(0)
    network = ReleasedStyleMatte(AUTHORS).eval()
    theirs = to_released(network.state_dict(), TABLE)
    torch.save({renamed(key): value for key, value in theirs.items()}, tmp_path / "stylematte_pure.pth")
    out = tmp_path / "released"
    assert main(["import-weights", str(tmp_path / "stylematte_pure.pth"), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == sum(p.numel() for p in network.parameters())
    description = json.loads((out / "matter.json").read_text())
    assert description["network"]["variant"] == "released"
    assert "keep the licence of whoever published them" in description["meta"]["licence"]
    assert sorted(file.name for file in out.iterdir()) == ["matter.json", "matter.safetensors"]

    photo = torch.rand(3, 75, 101)
    write_rgb(tmp_path / "photo.png", photo)
    words = ["matte", str(tmp_path / "photo.png"), "-o", str(tmp_path / "mattes"), "--matter", str(out)]
    assert main([*words, "--size", "101"]) == 0
    with torch.no_grad():
        expected = network((photo * 255).round()[None] / 255)[0]
    found = read_alpha(tmp_path / "mattes" / "photo_alpha.png")
    assert (found - expected).abs().max() < 2 / 255
