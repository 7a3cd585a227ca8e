"""A small data root drawn by hand, prepared; and the one line each unusable root prints."""

import csv
import json
from pathlib import Path

import pytest
import torch

from stylematte.data.folders import centre_square, heldout, load_index, prepare, square
from stylematte.data.manifest import assign_splits, name_hash, read_manifest
from stylematte.errors import DataError
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb

DOMAINS = {"portraits": "portrait"}


def disc(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2).sqrt()
    return (0.5 + height / 4 - distance).clamp(0, 1)[None]


def photo(number: int, height: int, width: int) -> torch.Tensor:
    colour = torch.tensor([0.9, 0.1 + 0.05 * number, 0.2])[:, None, None]
    return disc(height, width) * colour + (1 - disc(height, width)) * torch.tensor([0.1, 0.3, 0.8])[:, None, None]


def draw_root(root: Path) -> Path:
    """Six labelled portraits, two without label, one background, one plant; a broken one and a wrong mask on top."""
    rows = []

    def add(name: str, subject: str, kind: str, number: int, size: tuple[int, int], alpha: tuple[int, int] | None):
        write_rgb(root / f"{name}.png", photo(number, *size))
        if alpha:
            write_alpha(root / f"{name}_alpha.png", disc(*alpha))
        rows.append([f"{name}.png", f"{name}_alpha.png" if alpha else "", subject, kind, "CC0"])

    for number in range(6):
        add(f"p{number}", "portrait", "alpha" if number < 4 else "mask", number, (40, 30), (40, 30))
    add("half", "portrait", "pseudo-alpha", 7, (80, 60), (40, 30))
    add("wrong", "portrait", "mask", 8, (40, 30), (40, 40))
    add("tiny", "portrait", "none", 9, (8, 8), None)
    add("u0", "portrait", "none", 10, (20, 60), None)
    add("b0", "background", "background", 11, (30, 90), None)
    add("plant", "plant", "alpha", 12, (32, 32), (32, 32))
    add("made", "portrait", "generated-rgba", 13, (32, 32), None)
    (root / "cut.png").write_bytes((root / "p0.png").read_bytes()[:60])
    rows.append(["cut.png", "", "portrait", "none", ""])
    rows.append(["../p0.png", "", "portrait", "none", ""])
    write_manifest(root, rows)
    return root


def write_manifest(root: Path, rows: list, columns: tuple = ("file", "alpha", "subject", "kind", "licence")) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return root


def test_prepare_writes_the_folder(tmp_path, caplog):
    root = draw_root(tmp_path / "root")
    counts = prepare(root, tmp_path / "out", 32, DOMAINS, ["plant"], {"alpha": 0, "pseudo_alpha": 100})
    assert counts == {
        "pictures": 10,
        "left_out": 4,
        "background/background/train": 1,
        "plant/alpha/train": 1,
        "portraits/alpha/train": 4,
        "portraits/mask/train": 2,
        "portraits/none/train": 1,
        "portraits/pseudo-alpha/heldout": 1,
    }
    rows = load_index(tmp_path / "out")
    assert len({row["id"] for row in rows}) == 10
    for row in rows:
        assert read_rgb(row["image"]).shape == (3, 32, 32)
        labelled = row["kind"] in ("alpha", "pseudo-alpha", "mask")
        assert (row["alpha"] is not None) == (row["foreground"] is not None) == labelled
        if labelled:
            assert row["alpha"].is_absolute()
            assert read_alpha(row["alpha"]).shape == (1, 32, 32)
            edge = (read_alpha(row["alpha"]) > 0.2) & (read_alpha(row["alpha"]) < 0.9)
            blue = [read_rgb(row[key])[2:][edge].mean() - 0.2 for key in ("image", "foreground")]
            assert abs(blue[1]) < 0.4 * blue[0]  # the blue surroundings are gone from the edge
    reasons = {
        row["file"]: row["reason"]
        for row in map(json.loads, (tmp_path / "out/left_out.jsonl").read_text().splitlines())
    }
    assert reasons["wrong.png"] == "wrong_alpha.png: is 40 x 40, its image 30 x 40: not the same shape"
    assert reasons["tiny.png"] == "tiny.png: 8 x 8 pixels, at least 16 a side needed"
    assert reasons["cut.png"].startswith("cut.png: broken picture")
    assert reasons["../p0.png"] == "../p0.png: leads out of the data root"
    assert all(f"left out {file}" in caplog.text for file in reasons)


def test_the_same_root_gives_the_same_bytes(tmp_path):
    root = draw_root(tmp_path / "root")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        prepare(root, folder, 32, DOMAINS, [], {"alpha": 40, "pseudo-alpha": 40})
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert first == second
    assert not [name for name in first if name.name.startswith(".")]


def test_a_training_copy_of_a_heldout_picture_is_left_out(tmp_path):
    root = tmp_path / "root"
    for name in ("one.png", "two.png", "copy.png"):
        write_rgb(root / name, photo(2 if name == "two.png" else 1, 32, 32))
        write_alpha(root / f"a_{name}", disc(32, 32))
    rows = [[n, f"a_{n}", "portrait", k, ""] for n, k in (("one.png", "alpha"), ("copy.png", "mask"))]
    write_manifest(root, [*rows, ["two.png", "", "portrait", "none", ""]])
    counts = prepare(root, tmp_path / "out", 32, DOMAINS, [], {"alpha": 100})
    assert counts == {"pictures": 2, "left_out": 1, "portraits/alpha/heldout": 1, "portraits/none/train": 1}
    assert "copy.png" in (tmp_path / "out/left_out.jsonl").read_text()
    assert len(list((tmp_path / "out/image").rglob("*.png"))) == 2


def test_max_per_source(tmp_path):
    counts = prepare(draw_root(tmp_path / "root"), tmp_path / "out", 16, DOMAINS, max_per_source=1)
    assert counts["portraits/mask/train"] == 1
    assert counts["pictures"] == 4  # one of alpha, mask and pseudo-alpha, one background; the first `none` is too small


UNUSABLE = {
    "no root": (None, None, "nowhere is not a folder: set data.root"),
    "no manifest": ((), None, "no known layout; expected manifest.csv, image/ and alpha/"),
    "no column": ([], ("file", "kind"), "lacks the columns alpha, subject: it has file, kind"),
    "kind": ([["a.png", "", "portrait", "matte", ""]], None, "line 2: unknown kind 'matte', expected one of alpha,"),
    "no file": ([["", "", "portrait", "none", ""]], None, "line 2: file and subject must not be empty"),
    "subject": (
        [["a.png", "", "cat", "none", ""]],
        None,
        "no picture of subject 'portrait' in the manifest, it has: cat",
    ),
    "all bad": ([["a.png", "", "portrait", "none", ""]], None, "no usable picture for 'portraits' in"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_roots_say_so_in_one_line(tmp_path, case):
    rows, columns, expected = UNUSABLE[case]
    root = tmp_path / "nowhere"
    if rows is not None:
        root.mkdir()
        if isinstance(rows, list):
            write_manifest(root, rows, *([columns] if columns else []))
    with pytest.raises(DataError) as caught:
        prepare(root, tmp_path / "out", 32, DOMAINS)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overlapping_domains_and_missing_index(tmp_path):
    root = draw_root(tmp_path / "root")
    with pytest.raises(DataError, match="a subject can belong to one domain only"):
        prepare(root, tmp_path / "out", 32, DOMAINS, ["portrait"])
    with pytest.raises(DataError, match=r"index\.jsonl is missing"):
        load_index(tmp_path)


def test_manifest_with_byte_order_mark(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,alpha,subject,kind\na.png,x.png,cat,none\n", encoding="utf-8-sig")
    assert read_manifest(tmp_path) == [("a.png", None, "cat", "none", None, "", 0)]


def test_heldout_depends_on_the_base_name_alone():
    names = [f"img_{number}.jpg" for number in range(2000)]
    share = sum(heldout(name, 40) for name in names) / 2000
    assert abs(share - 0.4) < 0.04
    assert all(heldout(f"deep/er/{name}", 40) == heldout(name, 40) for name in names)
    assert not any(heldout(name, 0) for name in names)
    assert all(heldout(name, 100) for name in names)
    assert name_hash("a.png") == 7672  # first 8 bytes of sha256, modulo 10 000: never to change


def test_each_domain_keeps_one_to_measure_and_one_to_train():
    def splits(names: list[str], percent: float) -> list[str]:
        records = [{"domain": "d", "kind": "alpha", "source": name} for name in names]
        assign_splits(records, ["d"], {"alpha": percent})
        return [record["split"] for record in records]

    names = sorted(("a", "b", "c"), key=name_hash)
    assert splits(names, 0) == ["heldout", "train", "train"]
    assert splits(names, 100) == ["heldout", "heldout", "train"]
    assert splits(names[:1], 0) == ["train"]


def test_square_reflects_image_and_alpha_alike():
    ramp = torch.arange(4.0).div(3).expand(1, 2, 4)
    assert square(ramp, 4).shape == (1, 4, 4)
    rows = torch.arange(4.0).reshape(1, 4, 1).expand(1, 4, 2).contiguous()
    assert square(rows, 4)[0, 0].tolist() == [0, 0, 0, 0]
    columns = torch.tensor([0.0, 1.0]).expand(1, 4, 2).contiguous()
    assert square(columns, 4)[0, 0].tolist() == [1, 0, 1, 0]  # 1 | 0 1 | 0
    assert square(torch.rand(3, 5, 90), 64).shape == (3, 64, 64)
    assert square(torch.rand(3, 20, 30), 64).shape == (3, 64, 64)
    assert centre_square(columns, 2).tolist() == [[[0, 1], [0, 1]]]
