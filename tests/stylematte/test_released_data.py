"""A tiny tree of each released data set becomes the rows it should, whatever its folders are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from stylematte.data.check import examine, find_near_duplicates, summary
from stylematte.data.released import LAYOUTS, NAMES, read_released
from stylematte.errors import DataError
from stylematte.imagefile import write_alpha, write_rgb

TREES = {
    # layout: files below the root, and what their rows say: (split, subject, kind, alpha?, trimap?) by name
    "p3m-10k": (
        "train/blurred_image/p_1.jpg train/mask/p_1.png "
        "validation/P3M-500-P/blurred_image/p_2.jpg validation/P3M-500-P/mask/p_2.png "
        "validation/P3M-500-P/trimap/p_2.png validation/P3M-500-NP/original_image/p_3.jpg "
        "validation/P3M-500-NP/mask/p_3.png validation/P3M-500-NP/trimap/p_3.png",
        {
            "p_1": ("train", "portrait", "alpha", True, False),
            "p_2": ("P3M-500-P", "portrait", "alpha", True, True),
            "p_3": ("P3M-500-NP", "portrait", "alpha", True, True),
        },
    ),
    "p3m-500": (
        "original_image/p_3.jpg mask/p_3.png trimap/p_3.png",
        {"p_3": ("P3M-500-NP", "portrait", "alpha", True, True)},
    ),
    "am-2k": (
        "train/original/m_1.jpg train/mask/m_1.png train/fg/m_1.png "
        "validation/original/m_2.jpg validation/mask/m_2.png validation/trimap/m_2.png",
        {
            "m_1": ("train", "animal", "alpha", True, False),
            "m_2": ("validation", "animal", "alpha", True, True),
        },
    ),
    "aim-500": (
        "original/o_1.jpg mask/o_1.png trimap/o_1.png usr/o_1.png",
        {"o_1": ("all", "mixed", "alpha", True, True)},
    ),
    "ppm-100": (
        "image/1.jpg matte/1.jpg train/fg/2.jpg train/alpha/2.jpg val/fg/3.jpg val/alpha/3.jpg",
        {
            "1": ("all", "portrait", "alpha", True, False),
            "2": ("train", "portrait", "alpha", True, False),
            "3": ("val", "portrait", "alpha", True, False),
        },
    ),
    "aisegment": (
        "clip_img/18/clip_00/18-3.jpg matting/18/matting_00/18-3.png matting/18/._matting_00/._18-3.png",
        {"18-3": ("all", "portrait", "alpha", True, False)},
    ),
    "rwp-636": (
        "image/02_0030_input.jpg alpha/02_0030.png detailmap/02_0030.png",
        {"02_0030_input": ("all", "portrait", "alpha", True, False)},
    ),
    "composition-1k": (
        "Test_set/merged/a_0.png Test_set/alpha_copy/a_0.png Test_set/trimaps/a_0.png "
        "Training_set/Other/fg/b.jpg Training_set/Other/alpha/b.jpg "
        "Training_set/Adobe-licensed~images/fg/c.jpg Training_set/Adobe-licensed~images/alpha/c.jpg",
        {
            "a_0": ("test", "mixed", "alpha", True, True),
            "b": ("train", "mixed", "foreground", True, False),
            "c": ("train", "mixed", "foreground", True, False),
        },
    ),
    "bg-20k": (
        "train/h_1.jpg testval/h_2.jpg",
        {
            "h_1": ("train", "background", "background", False, False),
            "h_2": ("testval", "background", "background", False, False),
        },
    ),
    "folders": (
        "photos/x.jpg photos/y.png alpha/x_alpha.png alpha/y.png trimaps/x.png",
        {"x": ("all", "any", "alpha", True, True), "y": ("all", "any", "alpha", True, False)},
    ),
}


def plant(root: Path, files: str) -> None:
    for name in files.split():
        path = root / name.replace("~", " ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_every_layout_has_a_tree_here():
    assert set(TREES) == set(LAYOUTS) == set(NAMES) - {"manifest"}


@pytest.mark.parametrize("layout", TREES)
@pytest.mark.parametrize(("inside", "named"), [(".", "auto"), ("archive", "auto"), (".", "given")])
def test_a_tree_is_recognised_and_read(layout, inside, named, tmp_path):
    files, expected = TREES[layout]
    plant(tmp_path / inside, files)
    found = read_released(tmp_path, "auto" if named == "auto" else layout)
    assert found.layout == layout
    rows = {
        e.image.stem: (e.split, e.subject, e.kind, e.alpha is not None, e.trimap is not None) for e in found.examples
    }
    assert rows == expected
    assert len({example.id for example in found.examples}) == len(expected)
    assert all(path.is_file() for e in found.examples for path in (e.image, e.alpha, e.trimap) if path)


def test_older_copies_of_p3m_and_a_composed_test_set_alone(tmp_path):
    plant(tmp_path / "old", "validation2/original_image/p.jpg validation2/mask/p.png validation2/trimap/p.png")
    assert [e.split for e in read_released(tmp_path / "old").examples] == ["P3M-500-NP"]
    plant(tmp_path / "new", "merged/a_0.png alpha_copy/a_0.png trimap_copy/a_0.png")
    (example,) = read_released(tmp_path / "new").examples
    assert example.trimap == tmp_path / "new/trimap_copy/a_0.png"


def test_manifest_rows_keep_trimap_and_split(tmp_path):
    (tmp_path / "manifest.csv").write_text(
        "file,alpha,trimap,subject,kind,split\n"
        "a.jpg,a.png,t.png,portrait,alpha,test\nb.jpg,,,background,background,\nc.jpg,c.png,,animal,mask,train\n"
    )
    found = read_released(tmp_path)
    assert [(e.id, e.split, e.kind, bool(e.alpha), bool(e.trimap)) for e in found.examples] == [
        ("a", "test", "alpha", True, True),
        ("b", "all", "background", False, False),
        ("c", "train", "mask", True, False),
    ]


def test_orphans_and_missing_alphas_are_kept_apart(tmp_path):
    plant(tmp_path, "image/a.jpg image/b.jpg alpha/a.png alpha/c.png trimap/d.png")
    found = read_released(tmp_path)
    assert [(e.id, e.alpha is None) for e in found.examples] == [("image/a", False), ("image/b", True)]
    assert [path.name for path in found.orphans] == ["c.png", "d.png"]


@pytest.mark.parametrize(
    ("files", "layout", "says"),
    [
        ("readme.txt/x", "auto", "no known layout; expected manifest.csv"),
        ("image/a.jpg", "am-2k", "holds no pictures laid out as am-2k; expected train/original and train/mask"),
        ("image/a.jpg", "am2k", "no layout is called am2k; expected auto, manifest, p3m-10k"),
    ],
)
def test_what_cannot_be_read_is_one_line(files, layout, says, tmp_path):
    plant(tmp_path, files)
    with pytest.raises(DataError, match=says) as error:
        read_released(tmp_path, layout)
    assert "\n" not in str(error.value)


def test_examine_names_each_kind_of_fault_and_copies_are_found_over_splits(tmp_path):
    generator = torch.Generator().manual_seed(0)
    photos = {name: F.interpolate(torch.rand(1, 3, 5, 5, generator=generator), (60, 50))[0] for name in "abcde"}
    root = tmp_path / "am"
    for split, names in (("train", "abc"), ("validation", "de")):
        for name in names:
            write_rgb(root / split / "original" / f"{name}.png", photos[name])
            write_alpha(root / split / "mask" / f"{name}.png", torch.ones(1, 60, 50))
    write_rgb(root / "validation/original/leak.jpg", photos["a"].flip(-1))
    write_alpha(root / "train/mask/b.png", torch.ones(1, 30, 25))
    (root / "train/original/c.png").write_bytes(b"no picture")
    write_alpha(root / "validation/mask/d.png", torch.zeros(1, 60, 50))
    write_alpha(root / "validation/trimap/e.png", torch.full((1, 60, 50), 0.3))
    examined = [examine(example) for example in read_released(root).examples]
    faults = {each.example.image.stem: [kind for kind, _ in each.problems] for each in examined}
    assert faults == {
        "a": [], "b": ["mismatched"], "c": ["unreadable"], "d": ["empty"], "e": ["unreadable"], "leak": ["missing"],
    }  # fmt: skip
    assert find_near_duplicates(examined) == ([("train/original/a", "validation/original/leak")], [])
    rows = {row["split"]: row for row in summary(examined)}
    assert (rows["train"]["pictures"], rows["validation"]["trimaps"], rows["train"]["largest"]) == (3, 1, 60)
