"""`stylematte loss ddc`: its numbers are the loss's, its picture can be read, its refusals are one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from stylematte.evaluate.loss_picture import SHORTEST, colours, nice, worst_box
from stylematte.imagefile import read_rgb, write_alpha, write_rgb
from stylematte.losses.ddc import PAPER, ddc, floor, known_region


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bright disc on a dark wall, its matte with a bite taken out of it at the left, and a trimap."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    distance = ((y - 20) ** 2 + (x - 25) ** 2).sqrt()
    alpha = (distance < 12).float()[None]
    write_rgb(tmp_path / "photo.png", 0.2 + 0.6 * alpha.expand(3, -1, -1))
    trimap = torch.where((distance - 12).abs() < 4, 128 / 255, alpha[0])[None]
    write_alpha(tmp_path / "trimap.png", trimap)
    alpha[:, 16:24, 13:19] = 0
    write_alpha(tmp_path / "matte.png", alpha)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["loss", "ddc", "photo.png", "matte.png", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("options", [{}, {"variant": "scaled", "border": "exclude", "region": "unknown"}])
def test_numbers_are_those_of_the_loss(place: Path, capsys: pytest.CaptureFixture[str], options: dict) -> None:
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    got, config = ask(capsys, "trimap.png", *words), replace(PAPER, **options)
    image, alpha = (read_rgb(place / name)[None] for name in ("photo.png", "matte.png"))
    alpha, trimap = alpha[:, :1], read_rgb(place / "trimap.png")[None, :1]
    trimap[(trimap > 0) & (trimap < 1)] = 0.5
    assert got["value"] == pytest.approx(ddc(image, alpha, trimap, config).item(), abs=1e-7)
    assert got["floor"] == pytest.approx(floor(image, trimap, config).item(), abs=1e-7)
    assert got["excess"] == pytest.approx(got["value"] - got["floor"], abs=1e-9)
    assert got["known_error"] == pytest.approx(known_region(alpha, trimap).item(), abs=1e-6)
    assert got["known_error"] > 0
    assert got["picture"] == "photo_ddc.png"


def test_the_picture_marks_the_bite(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask(capsys, "--variant", "hinge", "--border", "exclude", "-o", "shown/where.png")
    sheet = read_rgb(place / "shown" / "where.png")
    wide = 50 * -(-SHORTEST // 50)
    assert sheet.shape[2] == 3 * wide + 4 * 12
    frame = (sheet - torch.tensor([60, 220, 60])[:, None, None] / 255).abs().sum(0) < 0.02
    columns = [frame[:, 12 + n * (wide + 12) :][:, :wide].any(0).nonzero().squeeze(1) for n in range(3)]
    for found in columns:  # the frame stands at the same place in all three panels, around the edge of the bite
        assert torch.equal(found, columns[0])
        assert 10 * wide / 50 < found.min() < found.max() < 22 * wide / 50


def test_a_matte_without_excess_has_a_black_map(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_alpha(place / "matte.png", torch.ones(1, 40, 50))
    got = ask(capsys, "--border", "replicate")
    assert got["excess"] == pytest.approx(0, abs=1e-7)
    assert "known_error" not in got
    assert (place / "photo_ddc.png").exists()


def test_the_table_names_value_floor_and_excess(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loss", "ddc", "photo.png", "matte.png", "trimap.png", "-o", "a.png"]) == 0
    text = capsys.readouterr().out
    for word in ("value", "floor", "excess", "known", "a.png"):
        assert word in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["gone.png", "matte.png"], 3, "gone.png"),
        (["photo.png", "notes.png"], 3, "notes.png"),
        (["photo.png", "small.png"], 3, "small.png: 25 x 40 pixels, photo.png has 50 x 40"),
        (["photo.png", "matte.png", "small.png"], 3, "small.png: 25 x 40 pixels, photo.png has 50 x 40"),
        (["photo.png", "matte.png", "grey.png"], 3, "grey.png: grey value 77"),
        (["photo.png", "matte.png", "unknown.png"], 3, "unknown.png: nothing is known"),
        (["photo.png", "matte.png", "mask.png"], 3, "mask.png: nothing is unknown"),
        (["photo.png", "matte.png", "inverted.png"], 3, "inverted.png: looks inverted"),
        (["photo.png", "matte.png", "--region", "unknown"], 2, "there is no trimap"),
        (["photo.png", "matte.png", "--window", "8"], 2, "--window=8: expected an odd number, 3 or more"),
        (["photo.png", "matte.png", "--neighbours", "500"], 2, "--neighbours=500: expected a number from 1 to 120"),
        (["photo.png", "matte.png", "-o", "where.jpg"], 2, "where.jpg"),
        (["photo.png", "matte.png", "-o", "photo.png"], 2, "overwrite"),
        (["photo.png", "matte.png", "-o", "folder.png"], 2, "is a folder"),
    ],
)
def test_bad_input_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    (place / "notes.png").write_text("no picture")
    (place / "folder.png").mkdir()
    trimap = read_rgb(place / "trimap.png")[:1]
    for name, picture in {
        "small": trimap[..., :25],
        "grey": torch.where(trimap == 0, 77 / 255, trimap),
        "unknown": torch.full_like(trimap, 128 / 255),
        "mask": (trimap > 0.7).float(),
        "inverted": torch.where((trimap == 0) | (trimap == 1), 1 - trimap, trimap),
    }.items():
        write_alpha(place / f"{name}.png", picture)
    before = {file.name: file.read_bytes() for file in place.iterdir() if file.is_file()}
    assert main(["loss", "ddc", *words]) == code
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error
    assert {file.name: file.read_bytes() for file in place.iterdir() if file.is_file()} == before


def test_the_scale_of_the_map() -> None:
    assert [nice(value) for value in (0.013, 0.05, 0.0201, 1.0, 7.0)] == pytest.approx([0.02, 0.05, 0.05, 1, 10])
    assert nice(0) > 0
    ends = colours(torch.tensor([[[-1.0, 0.0, 1.0, 9.0]]]))[:, 0].T
    assert ends[1].tolist() == [0, 0, 0]
    assert ends[0][2] > ends[0][0]  # blue below
    assert ends[2][0] > ends[2][2]  # yellow above
    assert torch.equal(ends[2], ends[3])


def test_the_worst_square() -> None:
    excess = torch.zeros(1, 50, 100)
    excess[0, 30:34, 80:84] = 1
    left, top, side = worst_box(excess)
    assert side == 10
    assert left <= 80
    assert top <= 30
    assert left + side >= 84
    assert top + side >= 34
    assert worst_box(torch.rand(1, 2, 2))[2] == 2
