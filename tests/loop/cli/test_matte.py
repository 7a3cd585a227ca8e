"""`stylematte matte`: what it writes, and what it says of bad input."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import stylematte
from loop.cli.main import main
from stylematte.config import BackboneConfig, FpnConfig
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, write_rgb, write_trimap
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter

TINY = FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8)


@pytest.fixture(scope="module")
def matter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("matter")
    save_matter(folder, build_matter(TINY), {"size": 64})
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, size in (("a", (40, 60)), ("b", (40, 60)), ("c", (70, 50))):
        write_rgb(tmp_path / "photos" / f"{name}.png", torch.rand(3, *size, generator=torch.Generator().manual_seed(1)))
    return tmp_path / "photos"


def matte(*words: object) -> int:
    return main(["matte", *map(str, words)])


def test_folders_globs_and_stdin_name_the_same(
    matter: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{p}\n" for p in photos.iterdir())))
    for kind, word in (("folder", photos), ("glob", photos / "*.png"), ("list", "-")):
        assert matte(word, "-o", tmp_path / kind, "--matter", matter) == 0
    names = [sorted(f.name for f in (tmp_path / kind).iterdir()) for kind in ("folder", "glob", "list")]
    assert names[0] == names[1] == names[2]
    assert len(names[0]) == 6


def test_batches_change_nothing(matter: Path, photos: Path, tmp_path: Path) -> None:
    for batch in (1, 2):
        assert matte(photos, "-o", tmp_path / str(batch), "--matter", matter, "--batch", batch, "--bits", 16) == 0
    for name in ("a", "b", "c"):
        one, two = (read_alpha(tmp_path / str(batch) / f"{name}_alpha.png") for batch in (1, 2))
        assert (one - two).abs().max() < 1e-4


def test_max_side_never_enlarges(matter: Path, photos: Path, tmp_path: Path) -> None:
    words = [photos / "a.png", "--matter", matter, "--max-side", 1000, "--bits", 16, "-o", tmp_path / "out"]
    assert matte(*words) == 0
    loaded = stylematte.load(matter)
    with torch.no_grad():
        expected = loaded.network(read_rgb(photos / "a.png")[None])[0]
    assert (read_alpha(tmp_path / "out" / "a_alpha.png") - expected).abs().max() < 1e-4


def test_tiles_flip_bits_and_background(matter: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [photos / "c.png", "--matter", matter, "-o", out, "--tile", 32, "--overlap", 8, "--flip", "--bits", 16]
    assert matte(*words, "--background", "#0000ff") == 0
    with Image.open(out / "c_alpha.png") as picture:
        assert picture.mode.startswith("I")
    cutout, shown = read_rgba(out / "c_cutout.png"), read_rgb(out / "c_composite.png")
    alpha = read_alpha(out / "c_alpha.png")
    torch.testing.assert_close(cutout[3:], alpha)
    blue = torch.tensor([0.0, 0, 1])[:, None, None]
    assert (shown - (alpha * cutout[:3] + (1 - alpha) * blue)).abs().max() < 1 / 255


def test_a_trimap_is_kept_where_it_is_known(matter: Path, photos: Path, tmp_path: Path) -> None:
    trimap = torch.full((1, 40, 60), 0.5)
    trimap[:, :10], trimap[:, 30:] = 0, 1
    write_trimap(tmp_path / "trimaps" / "a.png", trimap)
    out = tmp_path / "out"
    assert matte(photos / "a.png", "--matter", matter, "-o", out, "--trimap", tmp_path / "trimaps") == 0
    alpha = read_alpha(out / "a_alpha.png")
    assert (alpha[:, :10] == 0).all()
    assert (alpha[:, 30:] == 1).all()
    assert ((alpha[:, 10:30] > 0) & (alpha[:, 10:30] < 1)).any()


def test_one_call_for_pil_numpy_and_tensors(matter: Path, photos: Path) -> None:
    loaded = stylematte.load(matter)
    picture = Image.open(photos / "a.png")
    array, tensor = np.asarray(picture), read_rgb(photos / "a.png")
    alpha = loaded(tensor)
    assert alpha.shape == (1, 40, 60)
    torch.testing.assert_close(torch.from_numpy(loaded(array))[None], alpha)
    torch.testing.assert_close(torch.from_numpy(loaded((array / 255).astype(np.float32)))[None], alpha)
    assert (np.asarray(loaded(picture)) / 255 - alpha[0].numpy()).max() < 1 / 255
    assert loaded(tensor[None].expand(2, -1, -1, -1)).shape == (2, 1, 40, 60)
    for wrong in (array.astype(np.int64), array[..., 0], tensor * 255, 7, tensor * float("nan")):
        with pytest.raises(ValueError, match="expected"):
            loaded(wrong)


def huge_png(path: Path) -> None:
    """40 000 x 40 000, as its header says."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


def spoil(folder: Path, kind: str) -> None:
    """A matter folder that is wrong in one way."""
    network = build_matter(TINY)
    if kind == "nan":
        with torch.no_grad():
            network.fpn.head.weight[0, 0, 0, 0] = float("nan")
    save_matter(folder, network, {"size": 64})
    file = folder / "matter.safetensors"
    if kind == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    if kind == "another":
        description = json.loads((folder / "matter.json").read_text())
        description["network"]["backbone"]["name"] = "mobilenetv3_small_075"
        (folder / "matter.json").write_text(json.dumps(description))


BAD = [
    ("one.png", [], 3, "1 x 1 pixels is too small"),
    ("nan.tif", [], 3, "pixel format F is not supported, save it as 8- or 16-bit PNG"),
    ("huge.png", [], 3, "more than 89478485 pixels: scale it down or cut it first"),
    ("long.png", ["--size", "40000"], 3, "at most 16777216 in one piece: give a smaller --max-side, or --tile"),
    ("a.png", ["--trimap", "TMP/grey.png"], 3, "a trimap has 0, 128 and 255 only"),
    ("a.png", ["--trimap", "TMP/other.png"], 3, "is 7 x 5, the photo a.png is 60 x 40"),
    ("a.png", ["--trimap", "TMP/none.png"], 3, "none.png: no such file"),
    ("a.png", ["--matter", "TMP/nan"], 3, "fpn.head.weight holds values that are no numbers"),
    ("a.png", ["--matter", "TMP/truncated"], 3, "not a safetensors file"),
    ("a.png", ["--matter", "TMP/another"], 3, "tensors do not fit the network"),
    ("a.png", ["--tile", "64", "--overlap", "64"], 2, "--overlap 64"),
    ("a.png", ["--overlap", "4"], 2, "give --tile, too"),
    ("a.png", ["--max-side", "3"], 2, "--max-side 3"),
    ("a.png", ["--background", "gren"], 2, "neither a picture nor a colour"),
    ("*.gif", [], 3, "names no pictures"),
]


@pytest.mark.parametrize(("photo", "options", "code", "says"), BAD, ids=[f"{b[0]} {b[3][:30]}" for b in BAD])
def test_bad_input_is_one_line_and_writes_nothing(
    photo: str,
    options: list[str],
    code: int,
    says: str,
    matter: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (1, 1)).save(photos / "one.png")
    Image.new("RGB", (40, 30)).save(photos / "long.png")
    Image.fromarray(np.full((40, 60), np.nan, np.float32)).save(photos / "nan.tif")
    huge_png(photos / "huge.png")
    write_rgb(tmp_path / "grey.png", torch.full((3, 40, 60), 0.3))
    write_trimap(tmp_path / "other.png", torch.ones(1, 5, 7))
    for kind in ("nan", "truncated", "another"):
        if f"TMP/{kind}" in options:
            spoil(tmp_path / kind, kind)
    words = [word.replace("TMP", str(tmp_path)) for word in options]
    given = [] if "--matter" in words else ["--matter", matter]
    assert matte(photos / photo, "-o", tmp_path / "out", *given, *words) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
