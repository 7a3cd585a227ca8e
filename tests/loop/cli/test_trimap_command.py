"""`stylematte trimap` and `stylematte label`: what they write, what they refuse, what they never overwrite."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from loop.cli.main import main
from stylematte.data.folders import prepare
from stylematte.imagefile import read_alpha, read_rgb, read_trimap, write_alpha, write_rgb, write_rgba, write_trimap
from stylematte.inference.matter import Matter
from stylematte.inference.options import InferenceOptions
from stylematte.rgba import composite
from stylematte.trimap import from_alpha, from_mask

SIZE = 40


def soft_disc(radius: float = 12) -> Tensor:
    place = torch.arange(SIZE) - SIZE / 2 + 0.5
    return ((radius - (place[:, None] ** 2 + place[None] ** 2).sqrt()) / 4 + 0.5).clamp(0, 1)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """photos/{one,two}.png, a lit disc on a dark ground; their alphas, masks and trimaps."""
    for name, radius in (("one", 12.0), ("two", 9.0)):
        alpha = soft_disc(radius)
        front, back = torch.full((3, SIZE, SIZE), 0.9), torch.rand(3, SIZE, SIZE) * 0.02 + 0.01
        write_rgb(tmp_path / "photos" / f"{name}.png", composite(front, alpha, back))
        write_alpha(tmp_path / "alphas" / f"{name}.png", alpha)
        write_alpha(tmp_path / "masks" / f"{name}.png", (alpha > 0.5).float())
        write_trimap(tmp_path / "trimaps" / f"{name}.png", from_alpha(alpha))
    (tmp_path / "empty").mkdir()
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("stylematte: ")]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_masks_and_alphas_become_trimaps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source, made_by in (("mask", from_mask), ("alpha", from_alpha)):
        out = folder / f"from_{source}"
        assert main(["trimap", str(folder / f"{source}s"), "--from", source, "-o", str(out), "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert [Path(row["trimap"]).name for row in printed["written"]] == ["one.png", "two.png"]
        for row in printed["written"]:
            trimap = read_trimap(row["trimap"])
            assert torch.equal(trimap, made_by(read_alpha(row["picture"])))
            assert row["foreground"] == pytest.approx(float((trimap == 1).float().mean()))
        assert (out / "sheet.png").is_file()


def test_a_larger_radius_knows_less(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = []
    for radius in ("0.02", "0.2"):
        words = ["trimap", str(folder / "masks/one.png"), "--from", "mask", "--radius", radius, "--json"]
        assert main([*words, "-o", str(folder / radius)]) == 0
        unknown.append(json.loads(capsys.readouterr().out)["written"][0]["unknown"])
    assert unknown[0] < unknown[1]


def test_what_matte_wrote_is_named_after_the_photo(folder: Path) -> None:
    alpha = read_alpha(folder / "alphas/one.png")
    write_alpha(folder / "matted/one_alpha.png", alpha)
    write_rgba(folder / "matted/one_cutout.png", torch.cat([alpha.expand(3, -1, -1), alpha]))
    assert main(["trimap", str(folder / "matted"), "--from", "alpha", "-o", str(folder / "out")]) == 0
    assert sorted(files(folder / "out")) == ["one.png", "sheet.png"]
    (folder / "matted/one_alpha.png").unlink()  # a cut-out alone speaks for itself
    assert main(["trimap", str(folder / "matted"), "--from", "alpha", "-o", str(folder / "out2")]) == 0
    assert sorted(files(folder / "out2")) == ["one_cutout.png", "sheet.png"]


class Brightness(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(1, keepdim=True)


def test_a_matter_says_what_it_is_sure_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rgb(folder / "photos/dark.png", torch.zeros(3, SIZE, SIZE))
    write_rgb(folder / "photos/one.png", read_alpha(folder / "alphas/one.png").expand(3, -1, -1))
    matter = Matter(Brightness(), InferenceOptions(), folder, trained_at=24)
    monkeypatch.setattr("stylematte.inference.matter.load", lambda path: matter)
    there = folder / "matter"
    there.mkdir()
    (there / "matter.json").write_text("{}")
    words = ["trimap", str(folder / "photos"), "--from", "matter", "--matter", str(there)]
    words += ["-o", str(folder / "out"), "--json"]
    assert main(words) == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert [Path(row["picture"]).name for row in printed["left_out"]] == ["dark.png", "two.png"]  # 0.9 is not sure
    assert "no known foreground" in captured.err
    trimap, alpha = read_trimap(folder / "out/one.png"), read_alpha(folder / "alphas/one.png")
    assert trimap.shape == alpha.shape
    assert (trimap - alpha).abs()[trimap != 0.5].max() < 0.05


def label(folder: Path, *more: str, out: str = "root") -> int:
    words = ["label", str(folder / "photos"), "--method", "closed-form", "--trimaps", str(folder / "trimaps")]
    return main([*words, "-o", str(folder / out), "--subject", "disc", *(more or ("--workers", "1"))])


def test_labelled_photos_are_a_data_root(folder: Path) -> None:
    assert label(folder) == 0
    for name in ("one", "two"):
        solved, truth = read_alpha(folder / f"root/disc/alpha/{name}.png"), read_alpha(folder / f"alphas/{name}.png")
        trimap = read_trimap(folder / f"trimaps/{name}.png")
        assert (solved - truth).abs().max() < 0.05
        assert torch.equal(solved[trimap != 0.5], trimap[trimap != 0.5])
    assert (folder / "root/disc/image/one.png").read_bytes() == (folder / "photos/one.png").read_bytes()
    counts = prepare(folder / "root", folder / "prepared", 32, {"discs": "disc"}, heldout={"pseudo_alpha": 0})
    assert counts["pictures"] == 2
    assert read_rgb(folder / "root/sheet.png").shape[0] == 3


def test_the_same_command_goes_on_where_it_stopped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(folder) == 0
    before = files(folder / "root")
    (folder / "root/disc/alpha/two.png").unlink()  # as if it had been stopped
    (folder / "root/manifest.csv").unlink()
    capsys.readouterr()
    assert label(folder, "--workers", "1", "--json") == 0
    states = {Path(row["photo"]).stem: row["state"] for row in json.loads(capsys.readouterr().out)["done"]}
    assert states == {"one": "already there", "two": "written"}
    assert files(folder / "root") == before


def test_a_new_trimap_is_solved_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(folder) == 0
    alpha = folder / "root/disc/alpha/one.png"
    write_trimap(folder / "trimaps/one.png", from_alpha(soft_disc(), 0.1))
    os.utime(alpha, (1, 1))
    capsys.readouterr()
    assert label(folder, "--workers", "1", "--json") == 0
    states = [row["state"] for row in json.loads(capsys.readouterr().out)["done"]]
    assert states == ["written", "already there"]
    assert torch.equal(read_trimap(folder / "root/disc/trimap/one.png"), read_trimap(folder / "trimaps/one.png"))


def test_two_processes_write_what_one_writes(folder: Path) -> None:
    assert label(folder) == 0
    assert label(folder, "--workers", "2", out="root2") == 0
    assert files(folder / "root2") == files(folder / "root")


def test_rows_of_other_pictures_stay(folder: Path) -> None:
    """A second subject joins; an unknown column and its value survive."""
    assert label(folder) == 0
    manifest = folder / "root/manifest.csv"
    head, *rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([f"{head},licence", *(f"{row},CC0" for row in rows)]) + "\n")
    assert label(folder, "--workers", "1", "--subject", "other") == 0
    assert [row.split(",")[2:4] for row in manifest.read_text().splitlines()[1:]] == [
        ["disc", "pseudo-alpha"], ["disc", "pseudo-alpha"], ["other", "pseudo-alpha"], ["other", "pseudo-alpha"],
    ]  # fmt: skip
    assert manifest.read_text().count("CC0") == 2


BAD_TRIMAPS = [
    (torch.full((1, SIZE, SIZE), 0.5), "nothing is known"),
    ((soft_disc() > 0.5).float(), "nothing is unknown: this is a mask"),
    (torch.where(soft_disc() == 0, 0.0, 0.5), "no known foreground"),
    (torch.where(soft_disc() == 1, 1.0, 0.5), "no known background"),
    (1 - from_alpha(soft_disc()), "looks inverted"),
    (from_alpha(soft_disc())[:, :-4], "is 40 x 36, its photo 40 x 40"),
    (soft_disc(), "a trimap has 0, 128 and 255 only"),
    (None, "not a picture"),
]


@pytest.mark.parametrize(("trimap", "says"), BAD_TRIMAPS, ids=[says[:20] for _, says in BAD_TRIMAPS])
def test_a_bad_trimap_is_named_and_left_out(
    trimap: Tensor | None, says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "trimaps/one.png"
    file.write_text("no picture") if trimap is None else write_alpha(file, trimap)
    assert label(folder) == 0
    printed = lines(capsys)
    assert len(printed) == 1
    assert f"left out {file}: " in printed[0]
    assert says in printed[0]
    assert not list((folder / "root").rglob("one*"))
    assert (folder / "root/disc/alpha/two.png").is_file()


TABLE = [
    # words, exit code, what the last line says
    (["trimap", "TMP/none", "--from", "mask", "-o", "TMP/out"], 3, "none: no such file or folder"),
    (["trimap", "TMP/empty", "--from", "mask", "-o", "TMP/out"], 3, "holds no pictures"),
    (["trimap", "TMP/masks", "--from", "mask", "-o", "TMP/out", "--radius", "-1"], 2, "--radius -1.0: expected"),
    (["trimap", "TMP/masks", "--from", "mask", "-o", "TMP/out", "--radius", "nan"], 2, "--radius nan: expected"),
    (
        ["trimap", "TMP/masks", "--from", "mask", "-o", "TMP/out", "--matter", "x"],
        2,
        "--matter goes with --from matter",
    ),
    (["trimap", "TMP/masks", "--from", "mask", "-o", "TMP/masks"], 2, "is one of the pictures: choose another"),
    (["trimap", "TMP/masks", "--from", "mask", "-o", "TMP/photos"], 2, "exists and is no trimap: choose another"),
    (["trimap", "TMP/photos", "--from", "matter", "-o", "TMP/out", "--matter", "TMP/empty"], 3, "no accepted matter"),
    (["trimap", "TMP/text", "--from", "mask", "-o", "TMP/out"], 3, "no trimap could be made of 1 pictures"),
    (["label", "TMP/none", "--trimaps", "TMP/trimaps", "-o", "TMP/out"], 3, "none: no such file or folder"),
    (["label", "TMP/photos", "--trimaps", "TMP/none", "-o", "TMP/out"], 3, "none: no such folder; `stylematte trimap`"),
    (["label", "TMP/photos", "--trimaps", "TMP/empty", "-o", "TMP/out"], 3, "no trimap called one.png"),
    (["label", "TMP/photos", "--trimaps", "TMP/photos", "-o", "TMP/out"], 3, "none of 2 mattes could be solved"),
    (
        ["label", "TMP/photos", "--trimaps", "TMP/trimaps", "-o", "TMP/out", "--workers", "0"],
        2,
        "--workers 0: expected",
    ),
    (["label", "TMP/photos", "--trimaps", "TMP/trimaps", "-o", "TMP/out", "--subject", "a/b"], 2, "--subject a/b: exp"),
    (["label", "TMP/photos", "--trimaps", "TMP/trimaps", "-o", "TMP/text"], 3, "text/manifest.csv lacks the columns"),
]


@pytest.mark.parametrize(("words", "code", "says"), TABLE, ids=[" ".join(words)[-60:] for words, _, _ in TABLE])
def test_one_line_the_code_and_nothing_written(
    words: list[str], code: int, says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "text").mkdir()
    (folder / "text/a.png").write_text("no picture")
    (folder / "text/manifest.csv").write_text("a,b\n1,2\n")
    before = files(folder)
    given = [word.replace("TMP", str(folder)) for word in words]
    assert main([*given, "--workers", "1"] if words[0] == "label" and "--workers" not in words else given) == code
    assert says in lines(capsys)[-1]
    assert files(folder) == before


def test_another_picture_of_that_name_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert label(folder) == 0
    before = files(folder / "root")
    write_rgb(folder / "photos/one.png", torch.rand(3, SIZE, SIZE))
    assert label(folder) == 0
    assert "root/disc/image/one.png is another picture already" in lines(capsys)[0]
    assert {name: data for name, data in files(folder / "root").items() if name != "sheet.png"} == {
        name: data for name, data in before.items() if name != "sheet.png"
    }
