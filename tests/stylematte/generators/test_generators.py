"""Generators of files, keyed screens and composites: what they read; a sample is a function of its position."""

import json

import cv2
import numpy as np
import pytest
import torch

from stylematte.errors import ConfigError, DataError
from stylematte.generators.chroma import Chroma, on_a_screen
from stylematte.generators.composite import Composite
from stylematte.generators.directory import Directory
from stylematte.generators.files import to_srgb
from stylematte.generators.keying import despill, key
from stylematte.imagefile import write_alpha, write_rgb, write_rgba
from stylematte.rgba_generator import RGBAGenerator, Unusable

RGBA = torch.rand(4, 20, 24, generator=torch.Generator().manual_seed(0))


def test_files_of_every_kind_with_what_their_side_car_says(tmp_path):
    write_rgba(tmp_path / "a/deep.png", RGBA, bits=16)
    (tmp_path / "a/deep.json").write_text(json.dumps({"prompt": "a cat", "seed": 7, "licence": "MIT", "mood": "calm"}))
    bgra = np.ascontiguousarray(RGBA.permute(1, 2, 0).numpy()[..., [2, 1, 0, 3]])
    (tmp_path / "b.tiff").write_bytes(cv2.imencode(".tiff", (bgra * 65535).round().astype(np.uint16))[1].tobytes())
    (tmp_path / "c.webp").write_bytes(b"RIFF no picture")
    directory = Directory(str(tmp_path), licence="CC0-1.0")
    assert isinstance(directory, RGBAGenerator)
    assert directory.count == 3
    deep, tiff, broken = directory.sample(9)
    assert (deep.name, deep.prompt, deep.seed, deep.licence) == ("a/deep.png", "a cat", 7, "MIT")
    assert deep.figures == {"mood": "calm"}
    assert (deep.rgba - RGBA).abs().max() < 1e-5
    assert (tiff.licence, tiff.hints) == ("CC0-1.0", {"bits": 16})
    assert (tiff.rgba - RGBA).abs().max() < 1e-5
    assert isinstance(broken, Unusable)
    (again,) = directory.sample(1, 1)
    assert again.name == tiff.name
    assert torch.equal(again.rgba, tiff.rgba)
    with pytest.raises(DataError, match="holds no file"):
        Directory(str(tmp_path / "a" / ".."), "x").files.clear() or Directory(str(_empty(tmp_path)))


def _empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_an_exr_file_is_divided_and_brought_to_srgb(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    linear = np.full((8, 8, 4), 0.25, np.float32)
    linear[..., 3] = 0.5
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGBA": linear}).write(str(tmp_path / "x.exr"))
    (sample,) = Directory(str(tmp_path)).sample(1)
    assert torch.allclose(sample.rgba[3], torch.tensor(0.5))
    assert sample.rgba[0, 0, 0].item() == pytest.approx(0.7354, abs=1e-3)  # 0.25 / 0.5 linear = 0.7354 in sRGB
    assert to_srgb(np.array([0.0, 0.001, 1.0])) == pytest.approx([0, 0.01292, 1], abs=1e-6)


def test_a_screen_is_keyed_evenly_and_the_spill_is_cut():
    gaps = []
    for seed in range(6):
        image, alpha = on_a_screen("portrait" if seed % 2 else "animal", seed, 96)
        keyed = key(image.permute(1, 2, 0).numpy())
        gaps.append(np.abs(keyed.rgba[..., 3] - alpha[0].numpy()).mean())
        solid = alpha[0].numpy() > 0.99
        colour = keyed.rgba[..., :3][solid]
        others = [channel for channel in range(3) if channel != keyed.screen]
        assert (colour[:, keyed.screen] - colour[:, others].max(-1)).max() < 0.02
    assert np.mean(gaps) < 0.02
    assert despill(np.array([[0.5, 0.9, 0.3]], np.float32), 1)[0, 1] < 0.5
    with pytest.raises(ValueError, match="no green or blue screen"):
        key(np.full((20, 20, 3), 0.5, np.float32))


def test_frames_of_a_clip_are_one_group_and_what_has_no_screen_is_unusable(tmp_path):
    for name, seed in (("clip/0001.png", 1), ("clip/0002.png", 2), ("still.png", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_rgb(tmp_path / name, on_a_screen("animal", seed, 48)[0])
    write_rgb(tmp_path / "street.png", torch.full((3, 48, 48), 0.5))
    found = list(Chroma(str(tmp_path)).sample(10))
    assert [each.group for each in found[:3]] == ["clip", "clip", ""]
    assert found[3] == Unusable("street.png", 3, "no green or blue screen at the frame's border")
    with pytest.raises(ConfigError, match="screen=red"):
        Chroma(str(tmp_path), screen="red")
    with pytest.raises(ConfigError, match="and not both"):
        Chroma()


def test_composites_join_foreground_and_alpha_of_one_name(tmp_path):
    for split in ("train", "test"):
        write_rgb(tmp_path / split / "fg/x.png", RGBA[:3])
        write_alpha(tmp_path / split / "alpha/x.png", RGBA[3:] if split == "train" else RGBA[3:, :10])
    wrong, right = Composite(str(tmp_path)).sample(10)
    assert wrong == Unusable("test/fg/x.png", 0, "its alpha is 24 x 10, its foreground 24 x 20")
    assert (right.rgba - RGBA).abs().max() < 1 / 255
    assert [each.name for each in Composite(drawn="animal", size=32).sample(2, 5)] == ["0000005", "0000006"]
