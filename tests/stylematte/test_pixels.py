"""A photo kept in its file's integers against the same photo as floats: rows, grey, reduced, and all of `matte`."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from stylematte.config import BackboneConfig, FpnConfig
from stylematte.imagecode import decode
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, resize
from stylematte.inference.matte import Outputs, write_mattes
from stylematte.inference.matter import cut_out, load
from stylematte.inference.options import predict_in
from stylematte.inference.photos import NamedPhoto
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter
from stylematte.ops.enlarge import enlarged_rows
from stylematte.ops.foreground import estimate_foreground_reduced, rounded_strips
from stylematte.pixels import read_pixels

KINDS = ("plain.jpg", "turned.jpg", "clear.png", "deep.png", "grey.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture of 600 x 410 pixels (turned: 410 x 600), smooth with grain, as JPEG, RGBA, 16 bits and grey."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (9, 12, 4), np.uint8), (600, 410), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(smooth.astype(int) + rng.integers(-6, 7, (410, 600, 1)), 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[..., :3]).save(folder / "plain.jpg", quality=90)
    Image.fromarray(pixels[..., :3]).save(folder / "turned.jpg", quality=90, exif=exif)
    Image.fromarray(pixels).save(folder / "clear.png")
    Image.fromarray(pixels[..., 0]).save(folder / "grey.png")
    cv2.imwrite(str(folder / "deep.png"), pixels[..., :3].astype(np.uint16) * 257 - 128)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_rows_are_those_of_the_float_picture(photos: Path, name: str) -> None:
    pixels, floats = read_pixels(photos / name), read_rgb(photos / name)
    assert pixels.shape == floats.shape
    assert pixels.whole().equal(floats)
    assert pixels.rows(slice(30, 47)).equal(floats[:, 30:47])
    assert (pixels.grey(slice(30, 47)) - floats[:, 30:47].mean(0, keepdim=True)).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(37, 64), (128, 187), (409, 300), (410, 64), (500, 700), (2, 2)])
def test_reduced_it_is_the_reduced_float_picture(photos: Path, size: tuple[int, int]) -> None:
    for name in ("plain.jpg", "clear.png"):
        assert (read_pixels(photos / name).resized(size) - resize(read_rgb(photos / name), size)).abs().max() < 1e-6


@pytest.mark.parametrize("small", [(7, 5), (1, 3), (90, 31)])
def test_rows_of_an_enlarged_picture_are_those_of_interpolate(small: tuple[int, int]) -> None:
    lines = torch.rand(3, *small, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(lines[None], size=(100, 83), mode="bilinear", align_corners=False)[0]
    for first in (0, 32, 96):
        rows = slice(first, min(first + 32, 100))
        assert (enlarged_rows(lines, rows, 100, 83) - whole[:, rows]).abs().max() < 2e-5


def test_rounded_strips_are_the_float_foreground_rounded(photos: Path) -> None:
    """Alpha 0 on the left, 1 on the right. 0.5 of 255 is what rounding costs."""
    pixels, floats = read_pixels(photos / "plain.jpg"), read_rgb(photos / "plain.jpg")
    alpha = torch.linspace(-1, 2, 600).clamp(0, 1).expand(1, 410, 600).contiguous()
    expected = torch.cat([estimate_foreground_reduced(floats, alpha, 96), alpha]).permute(1, 2, 0) * 255
    found = np.concatenate(list(rounded_strips(pixels, alpha, 96)))
    assert found.shape == (410, 600, 4)
    assert np.abs(found - expected.numpy()).max() < 0.51


@pytest.mark.parametrize("mode", [{"subsampling": 0}, {"subsampling": 2, "progressive": True}, {"quality": 40}])
def test_jpegs_are_decoded_as_pillow_does(photos: Path, tmp_path: Path, mode: dict[str, int]) -> None:
    for size in ((600, 410), (33, 17)):
        Image.open(photos / "plain.jpg").resize(size).save(tmp_path / "x.jpg", **mode)
        with Image.open(tmp_path / "x.jpg") as picture:
            assert np.array_equal(decode("x.jpg", (tmp_path / "x.jpg").read_bytes()).colour, np.asarray(picture))


@pytest.fixture(scope="module")
def matter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("matter")
    config = FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8)
    save_matter(folder, build_matter(config), {"size": 64})
    return folder


@pytest.mark.parametrize(("foreground", "bits"), [("fast", 8), ("fast", 16), ("none", 8)])
def test_matte_writes_what_floats_of_the_whole_photo_give(
    photos: Path, matter: Path, tmp_path: Path, foreground: str, bits: int
) -> None:
    """To one level of 8 bits, and to a quarter of that with 16: the solution is as sensitive to the last bits."""
    loaded, step = load(matter), 1 / 255 if bits == 8 else 1e-3
    named = [NamedPhoto(photos / name, name) for name in KINDS]
    write_mattes(loaded, named, tmp_path, outputs=Outputs(foreground=foreground, bits=bits))
    for photo in named:
        image = read_rgb(photo.path)
        (alpha,) = predict_in(loaded.network, [image], loaded.options)
        assert alpha.std() > 0
        assert (read_alpha(tmp_path / f"{photo.name}_alpha.png") - alpha).abs().max() <= step
        rgba = read_rgba(tmp_path / f"{photo.name}_cutout.png")
        assert (rgba - cut_out(image, alpha, foreground)).abs().max() <= step
