"""`stylematte matte` on many photos: trees, what is there already, what is left out, devices, masks, methods."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import stylematte
from loop.cli.main import main
from stylematte.config import BackboneConfig, DetailConfig, FpnConfig
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb, write_trimap
from stylematte.inference import pipeline
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter

MOBILE = BackboneConfig("mobilenetv3_small_050")


@pytest.fixture(scope="module")
def matters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fpn/ and detail/."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("matters")
    save_matter(folder / "fpn", build_matter(FpnConfig(backbone=MOBILE, channels=8)), {"size": 64})
    detail = DetailConfig(backbone=MOBILE, channels=8, detail_channels=4)
    save_matter(folder / "detail", build_matter(detail), {"size": 64})
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """a.jpg, x/b.png, x/y/a.gif; a hidden file and a text."""
    folder = tmp_path / "in"
    for name in ("x/b.png", ".hidden/c.png", ".d.png"):
        write_rgb(folder / name, torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(2)))
    (folder / "x/y").mkdir()
    Image.fromarray(np.zeros((33, 44, 3), np.uint8)).save(folder / "a.jpg")
    Image.fromarray(np.zeros((33, 44), np.uint8)).save(folder / "x/y/a.gif")
    (folder / "notes.txt").write_text("no picture")
    return folder


def matte(*words: object) -> int:
    return main(["matte", *map(str, words)])


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_the_tree_is_mirrored_and_results_inside_it_are_not_matted_again(
    matters: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tree / "mattes"
    words = [tree, "-o", out, "--matter", matters / "fpn", "--alpha-only"]
    expected = ["a_alpha.png", "x/b_alpha.png", "x/y/a_alpha.png"]
    assert matte(*words) == 0
    assert files(out) == expected
    (out / "a_alpha.png").unlink()
    before = (out / "x/b_alpha.png").stat().st_mtime_ns
    assert matte(*words, "--skip-existing", "--json") == 0
    assert files(out) == expected
    assert (out / "x/b_alpha.png").stat().st_mtime_ns == before
    said = json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))
    assert [len(said["written"]), len(said["existing"])] == [1, 2]
    assert matte(tree, "-o", tree, "--matter", matters / "fpn") == 2


def test_what_is_left_out_is_an_exit_code(matters: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "x/broken.png").write_bytes(b"no picture")
    assert matte(tree, "-o", tree.parent / "out", "--matter", matters / "fpn") == 3
    assert "1 left out" in capsys.readouterr().out
    assert len(files(tree.parent / "out")) == 6


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--device", "tpu"], 2, "expected auto, cpu, cuda, cuda:0"),
        (["--device", "cuda:7"], 2, "GPUs that PyTorch can use"),
        (["--device", "cpu", "--precision", "fp16"], 2, "fp16 is for GPUs"),
        (["--alpha-only", "--background", "red"], 2, "give one of the two"),
        (["--method", "knn"], 2, "--method knn needs --trimap or --mask"),
        (["-o", "FILE/out"], 3, "is a file; name a folder"),
    ],
)
def test_bad_words_are_one_line_before_any_work(
    words: list[str], code: int, says: str, matters: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("FILE", str(tree / "notes.txt")) for word in words]
    given = [] if "--method" in words else ["--matter", matters / "fpn"]
    assert matte(tree, "-o", tree.parent / "out", *given, *words) == code
    assert says in capsys.readouterr().err
    assert not (tree.parent / "out").exists()


def alphas(matters: Path, tree: Path, *words: str) -> list[torch.Tensor]:
    out = tree.parent / "-".join(("out", *words))
    assert matte(tree, "-o", out, "--matter", matters / "fpn", "--alpha-only", *words) == 0
    return [read_alpha(out / name) for name in files(out)]


def test_half_precision_is_near(matters: Path, tree: Path) -> None:
    pairs = zip(alphas(matters, tree), alphas(matters, tree, "--precision", "bf16"), strict=True)
    assert 0 < max((one - half).abs().max() for one, half in pairs) < 0.05


@pytest.mark.slow
def test_two_devices_give_what_one_gives(matters: Path, tree: Path) -> None:
    pairs = zip(alphas(matters, tree), alphas(matters, tree, "--device", "cpu,cpu"), strict=True)
    assert all(one.equal(two) for one, two in pairs)


@pytest.mark.parametrize(("pixels", "most"), [(5, 10), (13, 13)])
def test_pixels_in_memory_are_bounded(pixels: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of 5 pixels, with a bound of 12: never three in flight; of 13, each alone. Order is kept."""
    monkeypatch.setattr(pipeline, "MOST_PIXELS", 12)
    held, peaks = [0], []

    def read(group: pipeline.Group) -> pipeline.Group:
        held[0] += group.pixels
        peaks.append(held[0])
        return group

    def write(group: pipeline.Group) -> list[int]:
        held[0] -= group.pixels
        return [len(group.photos)]

    groups = [pipeline.Group([None] * n, pixels) for n in range(6)]
    assert list(pipeline.pipelined(iter(groups), read, lambda group: group, write)) == list(range(6))
    assert max(peaks) <= most


@pytest.fixture
def disc(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """photo.png, a soft red disc on blue of 96 x 96, its trimap.png and a coarse 48 x 48 mask.png; the true alpha."""
    y, x = (torch.arange(96) - 47.5)[:, None], (torch.arange(96) - 47.5)[None]
    radius = (x * x + y * y).sqrt()
    alpha = ((32 - radius) / 4 + 0.5).clamp(0, 1)[None]
    red, blue = torch.tensor([0.8, 0.2, 0.1])[:, None, None], torch.tensor([0.1, 0.3, 0.7])[:, None, None]
    write_rgb(tmp_path / "photo.png", alpha * red + (1 - alpha) * blue)
    write_trimap(tmp_path / "trimap.png", torch.where(radius < 28, 1.0, torch.where(radius > 36, 0.0, 0.5))[None])
    write_alpha(tmp_path / "mask.png", (radius < 33).float()[None, ::2, ::2])
    return tmp_path, alpha


@pytest.mark.parametrize("method", ["closed-form", "knn", "lkm"])
def test_a_trimap_is_enough(method: str, disc: tuple[Path, torch.Tensor], capsys: pytest.CaptureFixture[str]) -> None:
    folder, truth = disc
    words = [folder / "photo.png", "-o", folder / "out", "--method", method]
    assert matte(*words, "--trimap", folder / "trimap.png") == 0
    assert f"by {method}" in capsys.readouterr().out
    assert (read_alpha(folder / "out/photo_alpha.png") - truth).abs().mean() < 0.02
    assert matte(*words, "--mask", folder / "mask.png") == 0
    assert (read_alpha(folder / "out/photo_alpha.png") - truth).abs().mean() < 0.02


def test_a_mask_goes_to_the_network_that_takes_trimaps_else_to_closed_form(
    matters: Path, disc: tuple[Path, torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, truth = disc
    for variant, says in (("detail", f"with {matters}/detail"), ("fpn", "by closed-form (the network of")):
        words = [folder / "photo.png", "-o", folder / variant, "--mask", folder / "mask.png"]
        assert matte(*words, "--matter", matters / variant) == 0
        assert says in capsys.readouterr().out
    assert (read_alpha(folder / "fpn/photo_alpha.png") - truth).abs().mean() < 0.02
    far = (truth == 0) | (truth == 1)
    assert (read_alpha(folder / "detail/photo_alpha.png") - truth).abs()[far].mean() < 0.1


def test_deep_clear_and_turned_pictures_are_read_as_their_files_are(matters: Path, tmp_path: Path) -> None:
    """16 bits, EXIF orientation and transparency: from the file, PIL and numpy the same alpha; lists are batches."""
    loaded = stylematte.load(matters / "fpn", device="auto")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[..., :3]).save(tmp_path / "turned.png", exif=exif)
    for name in ("clear.png", "turned.png"):
        expected = np.asarray(loaded(tmp_path / name))
        np.testing.assert_array_equal(np.asarray(loaded(Image.open(tmp_path / name))), expected)
    assert loaded(tmp_path / "turned.png").size == (40, 30)
    clear = loaded(read_rgb(tmp_path / "clear.png"))
    np.testing.assert_allclose(loaded(pixels), clear[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(loaded(pixels.astype(np.uint16) * 257), clear[0].numpy(), atol=1e-6)
    torch.testing.assert_close(loaded(torch.from_numpy(pixels / 255).permute(2, 0, 1).float()), clear)
    many = loaded([tmp_path / "clear.png", pixels, read_rgb(tmp_path / "turned.png")])
    assert [type(each).__name__ for each in many] == ["Image", "ndarray", "Tensor"]
    np.testing.assert_allclose(many[1], clear[0].numpy(), atol=1e-5)
