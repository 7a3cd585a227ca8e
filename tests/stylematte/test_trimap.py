"""Trimaps against shapes whose distances are known, and against the true alphas of real photos."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from stylematte.errors import BadPicture
from stylematte.imagefile import read_alpha, read_trimap, resize, write_trimap
from stylematte.rgba import trimap_from_alpha
from stylematte.trimap import from_alpha, from_mask, from_matter, from_range, inverted, problem, shares, usable
from tests.fixture_files import outside


def square(side: int, size: int = 64) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    start = (size - side) // 2
    mask[..., start : start + side, start : start + side] = 1
    return mask


def distance_to_centre(size: int) -> Tensor:
    place = torch.arange(size) - size // 2
    return (place[:, None] ** 2 + place[None] ** 2).sqrt()


def test_a_square_loses_a_frame_of_the_radius_inward():
    """Side 20 has sqrt(area) 20, so 0.15 is radius 3: known foreground is a square of side 20 - 2 * 3."""
    trimap = from_mask(square(20), 0.15)
    assert int((trimap == 1).sum()) == 14 * 14
    assert torch.equal(trimap == 1, square(14) == 1)


def test_a_square_grows_by_a_rounded_frame_outward():
    """Not background: all within 3 of the square. By rows: straight sides 3 deep, corners by Euclid's distance."""
    trimap = from_mask(square(20), 0.15)
    corner = sum(1 for x in range(1, 4) for y in range(1, 4) if x * x + y * y <= 9)
    assert int((trimap != 0).sum()) == 20 * 20 + 4 * 20 * 3 + 4 * corner
    assert trimap[0, 0, 22 - 3, 32] == 0.5  # the square begins at 22
    assert trimap[0, 0, 22 - 4, 32] == 0


def test_a_disc_stays_a_disc():
    """A disc of radius 20 eroded by 5 is one of 15, dilated by 5 one of 25, up to the pixel's own size."""
    distance = distance_to_centre(80)
    mask = (distance <= 20).float()[None, None]
    trimap = from_mask(mask, 5 / float(mask.sum().sqrt()))[0, 0]
    assert (trimap[distance <= 14] == 1).all()
    assert (trimap[(distance > 16.5) & (distance < 23.5)] == 0.5).all()
    assert (trimap[distance > 26] == 0).all()


def test_the_radius_follows_the_size_of_the_subject():
    for side in (10, 20, 40):
        known = (from_mask(square(side), 0.1) == 1).sum().sqrt()
        assert known == side * 0.8


def test_sides_are_separate_and_inward_is_the_first():
    trimap = from_mask(square(20), 0.05, outward=0.3)  # radii 1 and 6
    assert int((trimap == 1).sum()) == 18 * 18
    assert trimap[0, 0, 22 - 6, 32] == 0.5
    assert trimap[0, 0, 22 - 7, 32] == 0


def test_known_regions_shrink_as_the_radius_grows():
    torch.manual_seed(0)
    mask = (F.interpolate(torch.rand(3, 1, 6, 6), size=(60, 48), mode="bilinear") > 0.5).float()
    trimaps = [from_mask(mask, radius) for radius in (0, 0.02, 0.05, 0.1, 0.3)]
    for narrow, wide in itertools.pairwise(trimaps):
        assert ((wide == narrow) | (wide == 0.5)).all()
    assert shares(trimaps[0])[:, 1].max() < shares(trimaps[-1])[:, 1].min()


def test_an_edge_is_unknown_even_at_radius_0():
    """Never below one pixel: the two rings at the edge, 4 * 20 - 4 inside and 4 * 20 outside."""
    assert int((from_mask(square(20), 0.0) == 0.5).sum()) == 76 + 80


def test_the_frame_of_the_picture_erodes_nothing():
    mask = torch.zeros(1, 40, 40)
    mask[:, 20:] = 1  # a torso cut off below
    trimap = from_mask(mask, 0.1)
    assert (trimap[:, -1] == 1).all()
    assert (trimap[:, :, 0] == trimap[:, :, 20]).all()


def test_a_subject_thinner_than_the_radius_is_not_known():
    trimap = from_mask(square(2), 0.0)
    assert not (trimap == 1).any()
    assert int((trimap == 0.5).sum()) == 2 * 2 + 4 * 2
    assert not usable(trimap).any()


def test_empty_and_full_masks():
    assert (from_mask(torch.zeros(1, 1, 9, 9)) == 0).all()
    assert (from_mask(torch.ones(1, 1, 9, 9)) == 1).all()
    assert (from_alpha(torch.full((1, 9, 9), 0.5)) == 0.5).all()


def test_pictures_of_a_batch_do_not_meet():
    batch = torch.cat([square(4), square(30), torch.zeros(1, 1, 64, 64)])
    assert torch.equal(from_mask(batch, 0.1), torch.cat([from_mask(one[None], 0.1) for one in batch]))
    assert torch.equal(from_mask(batch, 0.1)[1], from_mask(batch[1], 0.1))


def test_from_alpha_at_radius_a_half_more_than_1_is_the_3_by_3_window():
    torch.manual_seed(1)
    alpha = F.interpolate(torch.rand(3, 1, 6, 5) * 3 - 1, size=(50, 40), mode="bilinear").clamp(0, 1)
    assert torch.equal(from_alpha(alpha, radius=1.5), trimap_from_alpha(alpha, 1))
    assert shares(from_alpha(alpha, radius=1.5))[:, 1].min() > 0.05


def test_from_range_knows_what_all_views_agree_on():
    """Left third surely background in both, right third foreground in both, the middle seen differently."""
    lowest, highest = torch.zeros(1, 1, 30, 90), torch.ones(1, 1, 30, 90)
    highest[..., :30], lowest[..., 60:] = 0.04, 0.96
    trimap = from_range(lowest, highest, 0.0)
    assert (trimap[..., :29] == 0).all()
    assert (trimap[..., 29:61] == 0.5).all()
    assert (trimap[..., 61:] == 1).all()
    assert (from_range(lowest, highest.clamp_min(0.06), 0.0)[..., :60] == 0.5).all()


class Brightness(nn.Module):
    """A matter that sees brightness, and adds a falsehood of its own at the left edge of what it is shown."""

    def __init__(self, false: int = 0) -> None:
        super().__init__()
        self.false, self.anything = false, nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        alpha = image.mean(1, keepdim=True).clone()
        alpha[..., : self.false] = 1
        return alpha


def test_what_the_views_of_a_matter_disagree_on_is_unknown():
    """The falsehood is at the left in one view and at the right in the mirrored one: known nowhere."""
    image = torch.cat([square(24), torch.zeros(1, 1, 64, 64)]).expand(2, 3, 64, 64)
    sure, _ = from_matter(Brightness(), image, 0.05)
    trimap, good = from_matter(Brightness(false=6), image, 0.05)
    assert (sure[0, :, :, :6] == 0).all()
    for side in (trimap[..., :6], trimap[..., -6:]):
        assert (side == 0.5).all()
    assert trimap[0, 0, 32, 32] == 1
    assert trimap[0, 0, 5, 32] == 0
    assert good.tolist() == [True, False]
    assert good.dtype == torch.bool


def test_useful_means_some_of_both_and_not_all_unknown():
    parts = [(0.5, 0.4), (0.0, 0.5), (0.5, 0.0), (0.1, 0.05)]  # known background, known foreground
    trimap = torch.full((4, 1, 10, 100), 0.5)
    for picture, (back, front) in zip(trimap, parts, strict=True):
        picture[..., : round(back * 100)] = 0
        picture[..., 100 - round(front * 100) :] = 1
    assert usable(trimap).tolist() == [True, False, False, False]
    says = [None, "no known background", "no known foreground", "85% of the picture is unknown"]
    for picture, words in zip(trimap, says, strict=True):
        message = problem(picture)
        assert message is None if words is None else words in message
    assert "nothing is known" in problem(torch.full((1, 8, 8), 0.5))
    assert "this is a mask" in problem(square(20)[0])
    assert "looks inverted" in problem(1 - from_mask(square(20))[0])


def grey(*values: int, kind: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.tile(np.array(values, dtype=kind), (4, 2)))


def test_on_disk_a_trimap_is_0_128_255(tmp_path: Path):
    trimap = from_mask(square(20))[0]
    write_trimap(tmp_path / "t.png", trimap)
    assert sorted({*np.asarray(Image.open(tmp_path / "t.png")).ravel().tolist()}) == [0, 128, 255]
    assert torch.equal(read_trimap(tmp_path / "t.png"), trimap)
    grey(0, 127, 128, 129, 255).save(tmp_path / "near.png")
    assert read_trimap(tmp_path / "near.png")[0, 0, :5].tolist() == [0, 0.5, 0.5, 0.5, 1]


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (
            grey(0, 128, 37, 37, 254),
            "grey value 37 on 60.0% of the picture, a trimap has 0, 128 and 255 only: save it as",
        ),
        (grey(0, 126, 255), "grey value 126 on 33.3%"),
        (grey(0, 128, 65535, kind=np.uint16), "a trimap is an 8-bit grey picture"),
        (grey(0, 128, 255).convert("RGB"), None),
        (Image.new("RGB", (4, 4), (255, 0, 0)), "a trimap is an 8-bit grey picture"),
        (Image.new("LA", (4, 4), (255, 9)), "without transparency"),
    ],
)
def test_what_is_no_trimap_is_named(picture: Image.Image, says: str | None, tmp_path: Path):
    picture.save(tmp_path / "t.png")
    if says is None:
        assert read_trimap(tmp_path / "t.png").unique().tolist() == [0, 0.5, 1]
        return
    with pytest.raises(BadPicture, match=says) as error:
        read_trimap(tmp_path / "t.png")
    assert str(error.value).startswith(f"{tmp_path / 't.png'}: ")


def test_other_values_are_not_written(tmp_path: Path):
    with pytest.raises(ValueError, match="holds 0, 1/2 and 1 only"):
        write_trimap(tmp_path / "t.png", torch.full((1, 4, 4), 0.25))
    assert not (tmp_path / "t.png").exists()


@pytest.fixture(scope="module")
def alphas() -> list[Tensor]:
    """Every alpha of the shared data that is one, at 128 pixels."""
    data = outside("data")
    with (data / "manifest.csv").open(newline="") as lines:
        files = [row["alpha"] for row in csv.DictReader(lines) if row["kind"] in ("alpha", "pseudo-alpha")]
    pictures = [read_alpha(data / file) for file in files]
    scales = [128 / max(picture.shape[1:]) for picture in pictures]
    return [
        resize(picture, (round(picture.shape[1] * scale), round(picture.shape[2] * scale)))
        for picture, scale in zip(pictures, scales, strict=True)
    ]


def test_known_is_true_on_real_pictures(alphas):
    """A mask at 1/2 hides every hair; the band has to cover it. Truth differs by more than 0.1 on few known pixels."""
    wrong = {}
    for radius in (0.0, 0.05, 0.1):
        off = total = 0
        for alpha in alphas:
            trimap = from_mask(alpha, radius)
            known = trimap != 0.5
            off, total = off + int((known & ((trimap - alpha).abs() > 0.1)).sum()), total + int(known.sum())
        wrong[radius] = off / total
    assert wrong[0.1] < wrong[0.05] < wrong[0.0]
    assert wrong[0.05] < 0.01, wrong


def test_known_of_an_alpha_is_true_everywhere(alphas):
    for alpha in alphas:
        trimap = from_alpha(alpha)
        assert (trimap - alpha).abs()[trimap != 0.5].max() <= 0.0201


def test_right_trimaps_are_not_called_inverted_and_most_inverted_ones_are(alphas):
    trimaps = [from_mask(alpha) for alpha in alphas]
    assert not any(inverted(trimap) for trimap in trimaps)
    assert sum(inverted(1 - trimap) for trimap in trimaps) >= 0.9 * len(trimaps)
