"""Drawn pictures: exact by construction, the same on every call, with hair one can measure."""

from __future__ import annotations

import csv
import json
import math

import cv2
import numpy as np
import pytest
import torch

from stylematte.data.drawn.canvas import Canvas, straight_colour
from stylematte.data.drawn.dataset import (
    SUBJECTS,
    draw,
    draw_background,
    picture_seed,
    write_drawn,
    write_manifest_folder,
)
from stylematte.data.drawn.shapes import ellipse, grow, rim
from stylematte.imagefile import read_alpha, read_rgb
from stylematte.rgba import composite

SIZE, SEEDS = 64, range(50)
EXPECTED_SIZES = {"alpha": 3, "heldout": 2, "none": 2, "backgrounds": 2}


@pytest.fixture(scope="module", params=list(SUBJECTS))
def fifty(request):
    return [draw(request.param, seed, SIZE) for seed in SEEDS]


def test_compositing_equation_holds_exactly(fifty):
    for drawn in fifty:
        again = drawn.alpha * drawn.foreground + (1 - drawn.alpha) * drawn.background
        assert (drawn.image - again).abs().max() <= 1e-6


def test_shapes_types_and_ranges(fifty):
    for drawn in fifty:
        assert [tuple(part.shape) for part in drawn] == [(c, SIZE, SIZE) for c in (3, 1, 3, 3)]
        for part in drawn:
            assert part.dtype == torch.float32
            assert part.min() >= 0
            assert part.max() <= 1


@pytest.mark.parametrize("radius", [0.1, 0.2, 0.33, 0.45])
def test_disc_has_the_area_of_a_disc(radius):
    canvas = Canvas(SIZE, 0)
    canvas.paint(canvas.mask(ellipse((0.5, 0.5), (radius, radius), 200)), np.array([1.0, 0.5, 0.25]))
    premultiplied, alpha = canvas.reduce()
    assert alpha.mean() == pytest.approx(math.pi * radius**2, rel=0.01)
    assert alpha[SIZE // 2, SIZE // 2] == 1
    colour = straight_colour(premultiplied, alpha)
    assert np.abs(colour - [1.0, 0.5, 0.25]).max() < 3 / 255  # also outside, where it was filled in


def test_half_covered_pixel_has_alpha_one_half():
    canvas = Canvas(16, 0)
    canvas.pixels[:, :34] = 255  # 8.5 pixels of 16
    _, alpha = canvas.reduce()
    assert alpha[3].tolist() == [1.0] * 8 + [0.5] + [0.0] * 7


def test_a_line_of_one_render_pixel_covers_a_fraction_of_a_pixel():
    canvas = Canvas(SIZE, 0)
    x = 32.5 / SIZE
    canvas.strands(np.array([[[x, 0.1], [x, 0.5], [x, 0.9]]]), np.array([[1.0, 1.0, 1.0]]), 0.001)
    across = canvas.reduce()[1][SIZE // 2].sum()
    assert 0.2 < across < 0.55  # OpenCV's smoothed line is between one and two render pixels wide; 1/4 each


def test_defocus_keeps_colour_free_of_dark_fringes():
    canvas = Canvas(32, 0)
    canvas.paint(canvas.mask(ellipse((0.5, 0.5), (0.25, 0.25))), np.array([0.9, 0.2, 0.1]))
    canvas.defocus(0.05)
    premultiplied, alpha = canvas.reduce()
    soft = (alpha > 0.1) & (alpha < 0.9)
    assert soft.mean() > 0.1
    assert np.abs(straight_colour(premultiplied, alpha)[soft] - [0.9, 0.2, 0.1]).max() < 0.04


def test_fur_points_outwards():
    mask = Canvas(SIZE, 0).mask(ellipse((0.5, 0.5), (0.3, 0.3)))
    points, angle = rim(mask, 40, np.random.default_rng(0))
    outward = (points - 0.5) / np.linalg.norm(points - 0.5, axis=1, keepdims=True)
    assert ((outward * np.stack([np.cos(angle), np.sin(angle)], 1)).sum(1) > 0.95).all()


def test_straight_strand_has_its_length_and_a_full_turn_comes_back():
    strand = grow(np.zeros((1, 2)), 0.0, 0.5, steps=6)[0]
    assert strand[-1] == pytest.approx([0.5, 0.0])
    ring = grow(np.zeros((1, 2)), 0.0, 1.0, bend=2 * np.pi * 99 / 100, steps=101)[0]  # 100 moves, evenly round
    assert np.abs(ring[-1]).max() < 1e-9


def test_share_of_fractional_alpha(fifty):
    shares = [((d.alpha > 0.02) & (d.alpha < 0.98)).float().mean().item() for d in fifty]
    assert 0.03 < np.mean(shares) < 0.25
    assert min(shares) > 0.01
    assert max(shares) < 0.45


def test_foreground_fraction(fifty):
    fractions = [d.alpha.mean().item() for d in fifty]
    assert min(fractions) > 0.22
    assert max(fractions) < 0.85
    assert 0.4 < np.mean(fractions) < 0.7


def test_subject_is_centred_and_runs_off_the_bottom(fifty):
    for drawn in fifty:
        middle = slice(SIZE * 3 // 8, SIZE * 5 // 8)
        assert drawn.alpha[0, middle, middle].mean() > 0.75
        assert drawn.alpha[0, -1, middle].mean() > 0.75


def test_strands_exist_outside_the_filled_silhouette(fifty):
    with_strands = 0
    for drawn in fifty:
        alpha = drawn.alpha[0].numpy()
        solid = cv2.morphologyEx((alpha > 0.98).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        beyond = cv2.dilate(solid, np.ones((5, 5), np.uint8)) == 0
        with_strands += int(((alpha > 0.02) & (alpha < 0.98) & beyond).sum() >= 12)
    assert with_strands >= 30  # the rest are bald, short-haired or wear hats


def test_background_shows_through_holes_in_some_curls():
    holed = 0
    for seed in SEEDS:
        empty = (draw("portrait", seed, 128).alpha[0].numpy() < 0.2).astype(np.uint8)
        count, labels = cv2.connectedComponents(empty, connectivity=4)
        border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        holed += int(count - len(set(border) | {0}) >= 3)
    assert holed >= 5


def test_same_seed_same_bits_and_other_seed_other_picture():
    for subject in SUBJECTS:
        first, again, other = draw(subject, 7, SIZE), draw(subject, 7, SIZE), draw(subject, 8, SIZE)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert (first.alpha - other.alpha).abs().mean() > 0.005
        assert (first.image - other.image).abs().mean() > 0.03
    assert torch.equal(draw_background(3, 32), draw_background(3, 32))
    assert not torch.equal(draw_background(3, 32), draw_background(4, 32))


def test_the_size_changes_the_resolution_not_the_subject():
    for subject in SUBJECTS:
        for seed in range(5):
            small, large = draw(subject, seed, 64), draw(subject, seed, 128)
            coarse = [torch.nn.functional.adaptive_avg_pool2d(drawn.alpha, 16) for drawn in (small, large)]
            assert (coarse[0] - coarse[1]).abs().mean() < 0.03  # strands are drawn anew, shapes are not


def test_wrong_arguments_say_what_is_expected():
    with pytest.raises(ValueError, match="cannot draw a 'boat': expected one of portrait, animal"):
        draw("boat", 0, 64)
    with pytest.raises(ValueError, match="16 or more"):
        draw("animal", 0, 8)
    with pytest.raises(ValueError, match="domain 'boats'"):
        write_drawn("unused", 64, {"boats": "boat"}, 1, 1, 1, 1, 0)


def test_prepared_folder(tmp_path):
    domains = {"portraits": "portrait", "animals": "animal"}
    counts = write_drawn(tmp_path / "a", 32, domains, **EXPECTED_SIZES, seed=1)
    rows = [json.loads(line) for line in (tmp_path / "a/index.jsonl").read_text().splitlines()]
    assert counts["pictures"] == len(rows) == len({row["id"] for row in rows}) == 2 * 7 + 2
    assert counts["portraits/alpha/heldout"] == 2
    assert counts["background/background/train"] == 2
    assert (tmp_path / "a/left_out.jsonl").read_text() == ""
    row = next(row for row in rows if row["split"] == "heldout" and row["domain"] == "animals")
    drawn = draw("animal", picture_seed(1, "animals", "heldout", int(row["id"].split("/")[1])), 32)
    on_disk = [read_rgb(tmp_path / "a" / row["image"]), read_alpha(tmp_path / "a" / row["alpha"]),
               read_rgb(tmp_path / "a" / row["foreground"])]  # fmt: skip
    for expected, found in zip(drawn, on_disk, strict=False):
        assert (expected - found).abs().max() <= 0.5 / 255 + 1e-6
    again = composite(on_disk[2], on_disk[1], drawn.background)
    assert (again - on_disk[0]).abs().max() < 2 / 255
    assert all(
        row["alpha"] is None and row["foreground"] is None for row in rows if row["kind"] in ("none", "background")
    )


def test_an_oracle_knows_the_alpha_of_the_same_photos(tmp_path):
    rows = {}
    for name, oracle in (("blind", False), ("oracle", True)):
        counts = write_drawn(tmp_path / name, 32, {"portraits": "portrait"}, 1, 1, 2, 1, seed=2, oracle=oracle)
        rows[name] = [json.loads(line) for line in (tmp_path / name / "index.jsonl").read_text().splitlines()]
    assert counts["portraits/alpha/train"] == 3
    assert [row["id"] for row in rows["blind"]] == [row["id"] for row in rows["oracle"]]
    for blind, oracle in zip(rows["blind"], rows["oracle"], strict=True):
        files = [tmp_path / "blind" / blind["image"], tmp_path / "oracle" / oracle["image"]]
        assert files[0].read_bytes() == files[1].read_bytes()
        if blind["kind"] == "none":
            truth = draw("portrait", picture_seed(2, "portraits", "train", int(oracle["id"].split("/")[1])), 32)
            assert (oracle["kind"], oracle["split"]) == ("alpha", "train")
            assert (read_alpha(tmp_path / "oracle" / oracle["alpha"]) - truth.alpha).abs().max() < 1 / 255


def test_prepared_folder_has_the_same_bytes_again(tmp_path):
    for name in ("a", "b"):
        write_drawn(tmp_path / name, 32, {"portraits": "portrait"}, 1, 1, 1, 1, seed=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 4 + 2 + 2 + 2  # images, alphas, foregrounds, the two lists
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_heldout_seeds_are_no_training_seeds():
    train = {picture_seed(1, "portraits", "train", n) for n in range(500)}
    heldout = {picture_seed(1, "portraits", "heldout", n) for n in range(500)}
    assert len(train) == len(heldout) == 500
    assert not train & heldout


def test_raw_folder_can_be_prepared(tmp_path):
    from stylematte.data.folders import load_index, prepare

    written = write_manifest_folder(tmp_path / "raw", 48, alpha=2, mask=1, none=1, backgrounds=1)
    with (tmp_path / "raw/manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert written == len(rows) == 2 * 4 + 1
    assert set(
        read_alpha(tmp_path / "raw" / next(r["alpha"] for r in rows if r["kind"] == "mask")).unique().tolist()
    ) == {0.0, 1.0}
    prepare(tmp_path / "raw", tmp_path / "out", 32, {"portraits": "portrait", "animals": "animal"})
    kinds = [record["kind"] for record in load_index(tmp_path / "out")]
    assert sorted(kinds) == ["alpha"] * 4 + ["background"] + ["mask"] * 2 + ["none"] * 2
