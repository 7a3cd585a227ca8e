"""Making data sets: crops and resizes a person could check, and what is refused without leaving anything."""

import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from loop.cli.main import main
from stylematte.errors import DataError
from stylematte.imagefile import to_png, to_uint8, write_rgb, write_rgba
from stylemattegan.dataset import LabelledPictures
from stylemattegan.dataset_tool import crop_and_resize, make_dataset


def numbered(height, width, channels=3):
    """Every pixel's red tells its column, its green its row."""
    picture = torch.ones(channels, height, width)
    picture[0] = torch.arange(width) / 255
    picture[1] = torch.arange(height)[:, None] / 255
    return picture


def test_center_takes_the_middle_square():
    cut = to_uint8(crop_and_resize(numbered(8, 21), None, "center"))
    assert (cut[0, :, 0] == np.arange(6, 14)).all()  # (21 - 8) // 2
    assert (cut[:, 0, 1] == np.arange(8)).all()


def test_resizing_is_pillows_lanczos():
    picture = torch.rand(3, 50, 50)
    expected = Image.fromarray(to_uint8(picture)).resize((16, 16), Image.Resampling.LANCZOS)
    assert (to_uint8(crop_and_resize(picture, (16, 16), "center")) == np.asarray(expected)).all()
    assert (to_uint8(crop_and_resize(picture, (16, 16), "none")) == np.asarray(expected)).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_wide_keeps_the_shape_and_adds_bars(channels):
    made = crop_and_resize(torch.ones(channels, 60, 64), (24, 32), "wide")
    assert made.shape == (channels, 32, 32)
    assert (made[:, 4:28] == 1).all()
    assert (made[:, :4] == 0).all()
    assert (made[:, 28:] == 0).all()
    # 64 x 60 holds 64 x 48 of this shape: rows 6 to 53, halved, so the first new row is about row 6.5
    rows = to_uint8(crop_and_resize(numbered(60, 64), (24, 32), "wide"))[4:28, 5, 1].astype(int)
    assert abs(rows - (6.5 + 2 * np.arange(24))).max() <= 1
    with pytest.raises(ValueError, match="20 x 60 is smaller than 32 x 24"):
        crop_and_resize(torch.ones(3, 60, 20), (24, 32), "wide")


def test_hidden_colour_never_shows_in_a_smaller_cutout():
    rgba = torch.zeros(4, 40, 40)
    rgba[0] = 1  # red under alpha 0
    rgba[:, :, 13:29] = torch.tensor([0.0, 0.0, 1.0, 1.0])[:, None, None]
    small = crop_and_resize(rgba, (16, 16), "none")
    seen = small[3] > 0
    assert (seen & (small[3] < 1)).sum() > 0
    assert small[0].max() < 1e-6
    assert (small[2][seen] > 0.99).all()


@pytest.fixture
def source(tmp_path):
    for index in range(4):
        write_rgb(tmp_path / f"in/{'ba'[index % 2]}/{index}.png", torch.full((3, 20 + index, 30), index / 255))
    (tmp_path / "in/a/broken.png").write_bytes(b"\x89PNG nothing")
    return tmp_path / "in"


@pytest.mark.parametrize("name", ["out.zip", "out"])
def test_a_data_set_is_made_and_read_again(source, tmp_path, name, capsys):
    command = ["dataset", str(source), "-o", str(tmp_path / name), "--resolution", "16", "--crop", "center"]
    assert main([*command, "--classes"]) == 0
    printed = capsys.readouterr().out
    assert "left out a/broken.png: not a picture" in printed
    assert f"4 pictures in {tmp_path / name}, 1 left out" in printed
    pictures = LabelledPictures(tmp_path / name, use_labels=True)
    assert pictures.image_shape == (3, 16, 16)
    assert [int(to_uint8(picture)[0, 0, 0]) for picture in pictures] == [1, 3, 0, 2]  # by name: a/1 a/3 b/0 b/2
    assert [pictures.label(i).tolist() for i in range(4)] == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert main(command) == 3  # it exists
    assert "nothing is overwritten" in capsys.readouterr().err
    if name == "out.zip":
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.namelist()[0] == "00000/img00000000.png"
            assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_rgba_and_labels_are_kept(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for index in range(3):
            archive.writestr(f"{index}.png", to_png(torch.full((4, 8, 8), 0.25 * index)))
        archive.writestr("dataset.json", json.dumps({"labels": [[f"{i}.png", [i / 2, 1.0]] for i in range(3)]}))
    assert main(["dataset", str(tmp_path / "in.zip"), "-o", str(tmp_path / "out"), "--json", "--most", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(tmp_path / "out"), "written": 2, "left_out": []}
    pictures = LabelledPictures(tmp_path / "out", use_labels=True)
    assert pictures.image_shape == (4, 8, 8)
    assert pictures.label(1).tolist() == [0.5, 1.0]


def test_subject_frames_a_cutout(tmp_path):
    rgba = torch.zeros(4, 60, 90)
    rgba[:, 20:40, 60:76] = 1
    framed = crop_and_resize(rgba, (32, 32), "subject")
    columns = (framed[3] > 0.5).any(0).nonzero()[:, 0]
    assert abs(int(columns[0]) - (31 - int(columns[-1]))) <= 1
    with pytest.raises(ValueError, match="has no alpha"):
        crop_and_resize(rgba[:3], (32, 32), "subject")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--resolution", "24"], 2, "24 is no power of two"),
        (["--resolution", "big"], 2, "expected for example 256, or 512x384"),
        (["--resolution", "32x16"], 2, "only --crop wide takes a height"),
        (["--crop", "wide"], 2, "--crop wide needs --resolution"),
        (["--most", "1"], 2, "needs at least 2 pictures"),
        ([], 3, "30 x 21 with 3 channels, expected a square with a power of two"),
        (["--resolution", "32", "--crop", "subject"], 3, "0 pictures can be used, a data set needs at least 2; left"),
    ],
)
def test_refusals_leave_nothing(source, tmp_path, capsys, options, code, words):
    assert main(["dataset", str(source), "-o", str(tmp_path / "out.zip"), *options]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_sizes_and_channels_must_be_alike(tmp_path):
    write_rgb(tmp_path / "in/a.png", torch.zeros(3, 8, 8))
    write_rgba(tmp_path / "in/b.png", torch.zeros(4, 8, 8))
    with pytest.raises(DataError, match="the ones before 8 x 8 with 3: give --channels rgb or rgba"):
        make_dataset(tmp_path / "in", tmp_path / "out")
    write_rgb(tmp_path / "in/b.png", torch.zeros(3, 16, 16))
    with pytest.raises(DataError, match="the ones before 8 x 8 with 3: give --resolution and --crop"):
        make_dataset(tmp_path / "in", tmp_path / "out")
    write_rgba(tmp_path / "in/b.png", torch.zeros(4, 8, 8))
    assert make_dataset(tmp_path / "in", tmp_path / "out", channels="rgba").written == 2
    assert LabelledPictures(tmp_path / "out").picture(0)[3].min() == 1
