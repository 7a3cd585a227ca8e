"""What `select` refuses and why, copies and memorised pictures among it, and what it writes of a pair's reliability."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from loop.config.reviews import Review, picture_digest
from loop.config.schema import SelectConfig
from loop.config.steps import SelectStep
from loop.engine.stage import Context
from loop.pair_rules import Recognised, Vectors, apply_rules, detail, hash_signs, keep_best, thumbnail
from loop.pools import read_index, write_index
from loop.stages import select
from stylematte.config import BackboneConfig, FpnConfig
from stylematte.data.datamodule import MatterDataset, Source
from stylematte.fields import to_plain
from stylematte.imagefile import read_alpha, write_rgba
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import save_matter
from stylematte.sampling import Draw

SIZE = 64


def disc(row: int, column: int, radius: float, colour: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    alpha = (radius - ((y - row) ** 2 + (x - column) ** 2).sqrt() + 0.5).clamp(0, 1)[None]
    return torch.cat([torch.full((3, SIZE, SIZE), colour) * torch.linspace(0.5, 1, SIZE), alpha])


RULES = SelectConfig(max_disagreement=1, max_cut_sides=2, max_real_similarity=0.99, reliability=True)
Chosen = tuple[dict[str, dict], Path, dict]


@pytest.fixture
def chosen(tmp_path: Path, request: pytest.FixtureRequest) -> Chosen:
    """By the rules that the test is parametrised with, or RULES."""
    pictures = {
        "good": disc(30, 32, 18, 0.9),
        "again": disc(30, 32, 18, 0.9),
        "cut": disc(32, 32, 33, 0.3),
        "learned": disc(20, 20, 12, 0.6).flip(-1),
        "refused": disc(40, 40, 10, 0.5),
    }
    elsewhere = {"elsewhere": disc(50, 12, 8, 0.4)}
    for folder, names in (("pool", [*pictures]), ("labels", ["learned", *elsewhere])):
        rows = [{"id": n, "rgba": f"rgba/{n}.png", "kept": n != "refused", "rule": "glass"} for n in names]
        for row in rows:
            mirrored = folder == "labels"
            picture = {**pictures, **elsewhere}[row["id"]]
            picture = picture.flip(-1) if mirrored else picture
            write_rgba(tmp_path / folder / row["rgba"], picture)
        write_index(tmp_path / folder, rows)
    torch.manual_seed(0)
    backbone = BackboneConfig(name="mobilenetv3_small_050")
    (tmp_path / "matter").mkdir()
    save_matter(tmp_path / "matter", build_matter(FpnConfig(backbone=backbone, channels=8)), {"size": SIZE})
    for name in ("data", "out", "scratch"):
        (tmp_path / name).mkdir()
    inputs = {name: tmp_path / name for name in ("pool", "labels", "matter", "data")}
    step = SelectStep(SIZE, getattr(request, "param", RULES))
    inputs |= {"previous": tmp_path / "matter"} if step.rules.previous else {}
    metrics = select.run(Context(inputs, tmp_path / "out", tmp_path / "scratch", asdict(step), 0))
    return {row["id"]: row for row in read_index(tmp_path / "out")}, tmp_path / "out", metrics


def test_every_refusal_has_its_rule(chosen: Chosen) -> None:
    rows, _, metrics = chosen
    rules = {name: row["rule"] for name, row in rows.items()}
    expected = {"good": None, "again": "duplicate", "cut": "cut", "learned": "memorised", "refused": "glass"}
    assert rules == expected
    assert rows["cut"]["reason"] == "cut by 4 sides, at most 2 expected"
    assert metrics["kept"] == 1
    assert metrics["real_similarity"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (disc(30, 32, 5, 0.9), "foreground 0.019 below 0.05"),
        (disc(32, 32, 90, 0.9), "foreground 1.000 above 0.9"),
        (torch.cat([disc(30, 32, 12, 0.9)[:, :, 16:48]] * 2, -1), "largest body 0.500 of the foreground, below 0.95"),
        (disc(63, 32, 40, 0.9), "cut by 3 sides, at most 2 expected"),
        (disc(63, 10, 30, 0.9), None),
    ],
    ids=["nobody", "no background", "two subjects", "three borders", "two borders"],
)
def test_a_pair_is_one_subject_that_the_frame_does_not_cut_away(picture: Tensor, reason: str | None) -> None:
    row = {"disagreement": 0.0}
    apply_rules(row, picture, SelectConfig(max_cut_sides=2), Recognised(), Recognised())
    assert (row["kept"], row.get("reason")) == (reason is None, reason)


def test_a_kept_pair_says_how_far_each_pixel_is_believed(chosen: Chosen) -> None:
    rows, out, _ = chosen
    assert [name for name, row in rows.items() if "agreement" in row] == ["good"]
    believed = read_alpha(out / rows["good"]["agreement"])
    assert believed.shape == (1, SIZE, SIZE)
    row = {key: str(out / rows["good"][key]) for key in ("rgba", "agreement")}
    batches = []
    for each in (row, {"rgba": row["rgba"]}):
        data = MatterDataset([Source("pairs", [each], 1.0)], [], SIZE, 0.5)
        batches.append(data[[Draw(0, 0, 5)]])
    assert torch.equal(batches[0].image, batches[1].image)  # it weighs the loss and changes nothing else
    assert torch.equal(batches[0].alpha, batches[1].alpha)
    assert batches[1].agreement.shape == (1, 1, 1, 1)
    assert float(batches[0].agreement.mean()) == pytest.approx(float(believed.mean()), abs=0.25)
    assert float(batches[0].agreement.min()) < 1


def test_the_nearest_thumbnail_is_the_largest_product() -> None:
    vectors = [thumbnail(torch.rand(4, SIZE, SIZE, generator=torch.Generator().manual_seed(k))) for k in range(200)]
    found = Vectors(vectors[:-1]).nearest(vectors[-1])
    assert found == pytest.approx(max(float(each @ vectors[-1]) for each in vectors[:-1]), abs=1e-6)
    assert Vectors().nearest(vectors[0]) == -1.0


def test_what_a_person_decided_outweighs_the_rules(chosen: Chosen, tmp_path: Path) -> None:
    digests = {name: picture_digest(tmp_path / f"pool/rgba/{name}.png") for name in ("good", "cut", "refused")}
    reviews = {
        "good": Review(False, digests["good"], "a ghost"),
        "cut": Review(True, digests["cut"]),
        "refused": Review(True, digests["refused"]),
        "learned": Review(True, digests["good"]),  # of another picture with that name: it does not count
    }
    rules = SelectConfig(max_disagreement=1, max_cut_sides=2, max_real_similarity=0.99, keep=2)
    inputs = {name: tmp_path / name for name in ("pool", "labels", "matter", "data")}
    (tmp_path / "reviewed").mkdir()
    step = to_plain(SelectStep(SIZE, rules, reviews=reviews))
    metrics = select.run(Context(inputs, tmp_path / "reviewed", tmp_path / "scratch", step, 0))
    rows = {row["id"]: row for row in read_index(tmp_path / "reviewed")}
    assert {name: row["rule"] for name, row in rows.items()} == {
        "good": "review",
        "again": "enough",  # no near-duplicate any more, but two accepted by hand go first
        "cut": None,
        "learned": "memorised",
        "refused": None,
    }
    assert rows["good"]["reason"] == "refused by hand: a ghost"
    assert (metrics["kept"], metrics["reviewed"]) == (2, 3)


OPEN = SelectConfig(max_disagreement=1, min_foreground=0, max_foreground=1, min_body=0, max_similarity=1)


@pytest.mark.parametrize("chosen", [replace(OPEN, min_hash_bits=4, min_real_hash_bits=4)], indirect=True)
def test_hashes_find_what_is_there_again_and_what_was_learned(chosen: Chosen) -> None:
    rows, _, metrics = chosen
    assert {name: row["rule"] for name, row in rows.items()} == {
        "good": None, "again": "duplicate", "cut": None, "learned": "memorised", "refused": "glass",
    }  # fmt: skip
    assert (rows["again"]["hash_bits"], metrics["real_hash_bits"]) == (0, 0)
    assert rows["again"]["reason"] == "near-duplicate, 0 of 128 bits of its hash differ"
    brighter = hash_signs(disc(30, 32, 18, 0.9) * torch.tensor([0.97, 0.97, 0.97, 1])[:, None, None])
    kept = Recognised([disc(30, 32, 18, 0.9)], hashed=True)
    assert kept.differing_bits(brighter) < 12
    assert kept.differing_bits(hash_signs(disc(20, 12, 10, 0.2))) > 20


CLOSE = replace(OPEN, min_feature_distance=0.01, min_real_feature_distance=0.01, keep=2, cover=True, previous=True)


@pytest.mark.parametrize("chosen", [CLOSE], indirect=True)
def test_features_find_them_too_and_say_how_far_the_others_are(chosen: Chosen) -> None:
    rows, _, metrics = chosen
    assert [rows[name]["rule"] for name in ("good", "again", "learned")] == [None, "duplicate", "memorised"]
    assert rows["learned"]["real_feature_distance"] == pytest.approx(0, abs=1e-2)
    assert rows["good"]["real_feature_distance"] > 0.1
    assert metrics["real_feature_distance"] < metrics["real_feature_distance_median"]
    assert metrics["covered"] in (1, 2)
    assert rows["good"]["previous_disagreement"] == rows["good"]["disagreement"]  # it is the same matter here


def test_the_previous_matter_must_agree_too() -> None:
    row = {"disagreement": 0.01, "previous_disagreement": 0.2}
    apply_rules(row, disc(30, 32, 18, 0.9), SelectConfig(), Recognised(), Recognised())
    assert row["reason"] == "the previous matter disagrees by 0.200, above 0.08"


def test_a_budget_that_covers_takes_turns() -> None:
    found = [(0.01, 0), (0.02, 0), (0.03, 0), (0.05, 1), (0.06, 2)]
    for cover, expected in ((True, [0, 3, 4]), (False, [0, 1, 2])):
        rows = [{"id": k, "kept": True, "disagreement": gap, "nearest_real": at} for k, (gap, at) in enumerate(found)]
        keep_best(rows, 3, cover)
        assert [row["id"] for row in rows if row["kept"]] == expected
    assert rows[4]["reason"] == "enough: 3 pairs agree better"


@pytest.mark.parametrize("chosen", [replace(OPEN, reliability=True, keep=1)], indirect=True)
def test_what_has_to_go_for_better_ones_leaves_no_reliability(chosen: Chosen) -> None:
    rows, out, _ = chosen
    (kept,) = (row for row in rows.values() if row["kept"])
    assert [file.name for file in (out / "agreement").iterdir()] == [Path(kept["agreement"]).name]
    assert sum("agreement" in row for row in rows.values()) == 1


def test_detail_is_what_two_by_two_pixels_differ_from_their_mean_by() -> None:
    flat = torch.ones(4, 8, 8)
    checks = flat.clone()
    checks[0] = torch.eye(2).repeat(4, 4)  # red is 1 or 0, so +1 or -1 over grey, and each differs from their mean by 1
    assert detail(flat) == 0.0
    assert detail(checks) == pytest.approx(1 / 4)  # one of four planes
    assert detail(torch.cat([checks[:3] * 0 + 0.5, flat[3:] * 0])) == 0.0  # nothing there


def test_a_blurred_pair_is_refused_and_a_sharp_one_kept() -> None:
    sharp = disc(30, 32, 18, 0.9)
    sharp[:3] *= 0.6 + 0.4 * torch.eye(2).repeat(SIZE // 2, SIZE // 2)
    blurred = torch.nn.functional.avg_pool2d(sharp[None], 5, 1, 2)[0]
    real = Recognised()
    real.usual_detail = detail(sharp)
    rules = SelectConfig(max_disagreement=1, min_detail=0.75)
    for picture, rule in ((sharp, None), (blurred, "blurred")):
        row = {"id": "x", "disagreement": 0.0}
        apply_rules(row, picture, rules, Recognised(), real)
        assert row["rule"] == rule
    assert 0 < row["detail"] < 0.75
