"""Data sets as StyleGAN's tools keep them: the fixtures' values, and what is refused."""

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from stylematte.errors import BadPicture, DataError
from stylematte.imagefile import to_png, to_uint8, write_rgb
from stylemattegan.dataset import LabelledPictures
from tests.fixture_files import FIXTURES, about

THEIR_NAMES = {"xflip": "mirror", "random_seed": "seed"}


@pytest.mark.parametrize(
    "case", about("stylegan3/data_and_ema")["datasets"], ids=lambda case: f"{case['file']}{case['kwargs']}"
)
@pytest.mark.parametrize("unpacked", [False, True])
def test_data_sets_equal_the_reference(case, unpacked, tmp_path):
    source = FIXTURES / "stylegan3" / "dataset" / case["file"]
    if unpacked:
        zipfile.ZipFile(source).extractall(tmp_path / source.stem)
        source = tmp_path / source.stem
    pictures = LabelledPictures(source, **{THEIR_NAMES.get(k, k): v for k, v in case["kwargs"].items()})
    for name in ("name", "label_dim", "has_labels", "has_onehot_labels"):
        assert getattr(pictures, name) == case[name], name
    assert (len(pictures), list(pictures.image_shape)) == (case["length"], case["image_shape"])
    assert list(pictures.label_shape) == case["label_shape"]
    assert [tuple(item) for item in pictures.items] == [(i["raw_idx"], i["xflip"]) for i in case["items"]]
    pictures = pickle.loads(pickle.dumps(pictures))  # as it comes to a loading process
    for index, item in enumerate(case["items"]):
        bytes_of_planes = to_uint8(pictures.picture(index)).transpose(2, 0, 1).tobytes()
        assert hashlib.sha256(bytes_of_planes).hexdigest() == item["sha256"]
        assert pictures.label(index).dtype == np.float32
        assert pictures.label(index).tolist() == item["label"]


def zipped(path, sizes, labels="absent", channels=3):
    with zipfile.ZipFile(path, "w") as archive:
        for index, size in enumerate(sizes):
            archive.writestr(f"00000/img{index:08d}.png", to_png(torch.full((channels, *size), index / 255)))
        if labels != "absent":
            archive.writestr("dataset.json", json.dumps(labels))
    return path


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([(8, 8), (8, 8), (16, 16)], "img00000000.png is 8 x 8 with 3 channels, .*img00000002.png 16 x 16 with 3"),
        ([(8, 8)], "holds 1 picture, a generator needs at least 2"),
        ([(24, 24)] * 2, "24 x 24, expected a square with a power of two: make it anew"),
        ([(8, 16)] * 2, "16 x 8, expected a square with a power of two"),
        ([], "holds no pictures"),
    ],
)
def test_refused_before_a_pixel_is_decoded(tmp_path, sizes, words):
    with pytest.raises(DataError, match=words) as refusal:
        LabelledPictures(zipped(tmp_path / "x.zip", sizes))
    assert "\n" not in str(refusal.value)


def test_mixed_channels_are_refused(tmp_path):
    write_rgb(tmp_path / "a.png", torch.zeros(3, 8, 8))
    (tmp_path / "b.png").write_bytes(to_png(torch.zeros(4, 8, 8)))
    with pytest.raises(DataError, match=r"a.png is 8 x 8 with 3 channels, b.png 8 x 8 with 4"):
        LabelledPictures(tmp_path)


def test_a_truncated_zip_is_refused(tmp_path):
    whole = zipped(tmp_path / "x.zip", [(8, 8)] * 3).read_bytes()
    (tmp_path / "x.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a ZIP file, or cut short"):
        LabelledPictures(tmp_path / "x.zip")
    with pytest.raises(DataError, match="no such folder or ZIP file"):
        LabelledPictures(tmp_path / "y.zip")


def test_a_damaged_picture_is_named(tmp_path):
    path = zipped(tmp_path / "x.zip", [(8, 8)] * 2)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT", data.index(b"IDAT") + 1)  # of the second picture
    data[at + 6] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(BadPicture, match=r"img00000001.png: cannot be read, the data set is damaged"):
        LabelledPictures(path).picture(1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"labels": [["00000/img00000000.png", 1]]}, "no label for 00000/img00000001.png"),
        ({"other": 1}, "expected .*labels"),
        ({"labels": [["00000/img00000000.png", 1], ["00000/img00000001.png", [1, 2]]]}, "labels of different kinds"),
        ({"labels": [["00000/img00000000.png", "a"], ["00000/img00000001.png", "b"]]}, "labels of different kinds"),
    ],
)
def test_bad_labels(tmp_path, labels, words):
    path = zipped(tmp_path / "x.zip", [(8, 8)] * 2, labels)
    LabelledPictures(path)  # labels that are not asked for do not matter
    with pytest.raises(DataError, match=words):
        LabelledPictures(path, use_labels=True)
