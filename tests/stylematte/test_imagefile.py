"""Pictures as people have them, and the one line each bad one prints."""

import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from stylematte import imagefile
from stylematte.errors import BadPicture
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, resize, write_alpha, write_rgb, write_rgba
from stylematte.sheets import contact_sheet

QUADRANTS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", body) + png_chunk(b"IDAT", zlib.compress(b"\0" * 64))


def saved(path: Path, array: np.ndarray, keep: float = 1.0, **kwargs: object) -> Path:
    Image.fromarray(array).save(path, **kwargs)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def cut_deep_png(path: Path) -> Path:
    cv2.imwrite(str(path), noise(64, 64).astype(np.uint16) * 257)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def text(path: Path) -> Path:
    path.write_text("this is no picture")
    return path


def blob(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


BAD = {
    "missing": (lambda d: d / "none.png", "none.png: no such file"),
    "empty": (lambda d: blob(d / "empty.jpg", b""), "empty.jpg: the file is empty (0 bytes)"),
    "text": (lambda d: text(d / "text.png"), "text.png: not a picture, or a format that is not supported"),
    "folder": (lambda d: d, ": is a folder, expected a picture file"),
    "cut jpeg": (
        lambda d: saved(d / "cut.jpg", noise(64, 64), 0.5),
        "cut.jpg: broken picture (image file is truncated",
    ),
    "cut png": (lambda d: saved(d / "cut.png", noise(64, 64), 0.5), "cut.png: broken picture ("),
    "cut 16-bit png": (lambda d: cut_deep_png(d / "deep.png"), "deep.png: broken picture ("),
    "header only": (lambda d: saved(d / "head.jpg", noise(64, 64), 0.02), "head.jpg: "),
    "one pixel": (lambda d: saved(d / "one.png", noise(1, 1)), "one.png: 1 x 1 pixels is too small, at least 2 x 2"),
    "bomb": (lambda d: blob(d / "bomb.png", png_header(11000, 11000)), "bomb.png: 11000 x 11000 is more than 89478485"),
    "big bomb": (lambda d: blob(d / "bomb.png", png_header(60000, 60000)), "bomb.png: more than 89478485 pixels"),
    "damaged png": (lambda d: blob(d / "bad.png", png_header(64, 64)), "bad.png: broken picture ("),
    "float tiff": (
        lambda d: saved(d / "f.tiff", np.ones((4, 4), np.float32)),
        "f.tiff: pixel format F is not supported",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("read", [read_rgb, read_alpha, read_rgba])
def test_bad_pictures_name_the_file_and_the_reason(tmp_path, case, read):
    make, expected = BAD[case]
    path = make(tmp_path)
    with pytest.raises(BadPicture) as caught:
        read(path)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_bad_picture_survives_a_process_boundary():
    copy = pickle.loads(pickle.dumps(BadPicture("a.png", "two\nlines")))
    assert str(copy) == "a.png: two lines"
    assert copy.reason == "two lines"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_pil_undoes_it(tmp_path, orientation):
    picture = Image.fromarray(noise(5, 7))
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(imagefile.to_uint8(read_rgb(tmp_path / "turned.png")), expected)


def test_cmyk_jpeg(tmp_path):
    Image.fromarray(np.full((16, 16, 3), (200, 40, 40), np.uint8)).convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    mean = read_rgb(tmp_path / "c.jpg").mean(dim=(1, 2))
    assert torch.allclose(mean, torch.tensor([200, 40, 40]) / 255, atol=0.02)


def test_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 2]], np.uint8), mode="L").convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "p.png", transparency=0)
    rgba = read_rgba(tmp_path / "p.png")
    assert rgba[3].tolist() == [[0, 1], [1, 1]]
    assert rgba[:3, 0, 1].tolist() == [0, 1, 0]
    assert rgba[:3, 1, 0].tolist() == [0, 0, 1]
    assert read_rgb(tmp_path / "p.png")[:, 0, 0].tolist() == [1, 1, 1]  # transparent is shown on white
    assert torch.equal(read_alpha(tmp_path / "p.png")[0], rgba[3])


def test_sixteen_bits_are_scaled_by_65535(tmp_path):
    grey = np.array([[0, 32768], [65535, 257]], np.uint16)
    cv2.imwrite(str(tmp_path / "g.png"), grey)
    expected = torch.tensor(grey.astype(np.float32)) / 65535
    assert torch.allclose(read_alpha(tmp_path / "g.png")[0], expected, atol=1e-7)
    colour = np.stack([grey, grey // 2, grey // 4], axis=-1)
    cv2.imwrite(str(tmp_path / "c.png"), colour[..., ::-1])
    assert torch.allclose(read_rgb(tmp_path / "c.png")[1], torch.tensor(grey // 2 / 65535).float(), atol=1e-7)


def test_grey_la_and_one_bit(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "l.png")
    Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]).save(tmp_path / "la.png")
    Image.fromarray(RAMP > 100).save(tmp_path / "1.png")
    ramp = torch.tensor(RAMP) / 255
    assert torch.equal(read_rgb(tmp_path / "l.png"), ramp.expand(3, -1, -1))
    assert torch.equal(read_rgba(tmp_path / "la.png"), torch.stack([ramp, ramp, ramp, torch.tensor(255 - RAMP) / 255]))
    assert torch.equal(read_alpha(tmp_path / "1.png")[0], (torch.tensor(RAMP) > 100).float())


def test_alpha_that_never_varies_is_not_the_matte(tmp_path):
    opaque = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)])
    Image.fromarray(opaque).save(tmp_path / "mask.png")
    assert torch.equal(read_alpha(tmp_path / "mask.png")[0], torch.tensor(RAMP) / 255)
    Image.fromarray(QUADRANTS).save(tmp_path / "colour.png")
    assert read_alpha(tmp_path / "colour.png")[0, 0].tolist() == pytest.approx([0.299, 0.587])


@pytest.mark.parametrize(("write", "read", "channels"), [(write_rgb, read_rgb, 3), (write_alpha, read_alpha, 1)])
def test_round_trip_is_exact_on_uint8_levels(tmp_path, write, read, channels):
    levels = torch.arange(256).float().div(255).reshape(1, 16, 16).expand(channels, -1, -1)
    write(tmp_path / "deeper" / "x.png", levels)
    assert torch.equal(read(tmp_path / "deeper" / "x.png"), levels)
    assert [file.name for file in (tmp_path / "deeper").iterdir()] == ["x.png"]  # no temporary left


def test_rgba_keeps_colour_under_alpha_zero_and_16_bits_keep_more(tmp_path):
    rgba = torch.rand(4, 5, 6)
    rgba[3, :2] = 0
    write_rgba(tmp_path / "x.png", rgba)
    assert (read_rgba(tmp_path / "x.png") - rgba).abs().max() <= 0.5 / 255 + 1e-6
    write_alpha(tmp_path / "deep.png", rgba[:1], bits=16)
    assert (read_alpha(tmp_path / "deep.png") - rgba[:1]).abs().max() <= 0.5 / 65535 + 1e-6


def test_a_failed_write_leaves_the_former_file(tmp_path, monkeypatch):
    write_rgb(tmp_path / "x.png", torch.zeros(3, 4, 4))
    monkeypatch.setattr(imagefile.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_rgb(tmp_path / "x.png", torch.ones(3, 4, 4))
    assert read_rgb(tmp_path / "x.png").max() == 0
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("picture", "name", "message"),
    [
        (torch.full((3, 4, 4), float("nan")), "x.png", "NaN or infinity"),
        (torch.zeros(4, 4, 4), "x.png", r"expected a picture of shape \(3, H, W\), got \(4, 4, 4\)"),
        (torch.zeros(3, 4, 4), "x.gif", "write pictures as .png or .jpg"),
    ],
)
def test_what_write_refuses(tmp_path, picture, name, message):
    with pytest.raises(ValueError, match=message):
        write_rgb(tmp_path / name, picture)


def test_resize_averages_when_shrinking_and_stays_in_range():
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 64, 64)
    small = resize(stripes, (8, 8))
    assert torch.allclose(small, torch.full_like(small, 0.5), atol=0.03)  # sampling without a filter gives 0 or 1
    assert resize(torch.rand(2, 3, 5, 7), (10, 4)).shape == (2, 3, 10, 4)
    large = resize(torch.rand(1, 3, 3), (11, 9))
    assert large.min() >= 0
    assert large.max() <= 1


def test_contact_sheet():
    sheet = contact_sheet([torch.zeros(3, 4, 4), torch.zeros(1, 4, 4), torch.zeros(4, 2, 2)], columns=2, gap=1)
    assert sheet.shape == (3, 9, 9)
    assert sheet[:, :4, :4].max() == 0
    assert sheet[:, 4].min() == 1
    assert sheet[:, 5:7, 0:2].min() > 0.5  # alpha 0 shows the checkerboard
    with pytest.raises(ValueError, match="needs pictures"):
        contact_sheet([], 3)


@pytest.mark.parametrize("bits", [8, 16])
def test_strips_make_the_file_of_the_whole_picture(tmp_path, bits):
    picture = torch.rand(4, 70, 9, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1  # is clipped
    imagefile.write_strips(tmp_path / "strips.png", picture.shape, picture.split(30, 1), bits)
    write_rgba(tmp_path / "whole.png", picture, bits)
    assert read_rgba(tmp_path / "strips.png").equal(read_rgba(tmp_path / "whole.png"))
    picture[0, 40] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinity and was not written"):
        imagefile.write_strips(tmp_path / "strips.png", picture.shape, picture.split(30, 1), bits)
    assert read_rgba(tmp_path / "strips.png").equal(read_rgba(tmp_path / "whole.png"))
