"""Pictures at their own resolution: where crops lie, that all files of a picture move together, and whole views."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte.data.datamodule import MatterData, Source
from stylematte.data.folders import load_index, prepare
from stylematte.data.views import ANYWHERE, NativeViews, Window, cut, fit_square, fit_trimap, transition_cells
from stylematte.errors import BadPicture
from stylematte.imagefile import read_alpha, read_rgb, write_alpha, write_rgb
from stylematte.netpbm import mapped

SIDE = 64


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Two photos of 200 x 320 whose only transition is a one-pixel strand at column 250; a background of 100 x 140."""
    root = tmp_path_factory.mktemp("root")
    across = torch.arange(320.0).expand(1, 200, 320)
    alpha = (across >= 252).float()
    alpha[:, :, 250] = 1
    for name in "ab":
        write_rgb(root / f"{name}.png", torch.cat([across / 319, alpha, alpha * (name == "b")]))
        write_alpha(root / f"{name}_alpha.png", alpha)
    write_rgb(root / "back.png", torch.rand(3, 100, 140, generator=torch.Generator().manual_seed(0)))
    lines = [f"{name}.png,{name}_alpha.png,portrait,alpha" for name in "ab"]
    lines = ["file,alpha,subject,kind", *lines, "back.png,,background,background"]
    (root / "manifest.csv").write_text("\n".join(lines))
    prepare(root, root / "out", 32, {"portraits": "portrait"}, heldout={"alpha": 0}, max_side=300)
    return root / "out"


def test_prepared_pictures_keep_their_shape_up_to_the_longest_side(prepared):
    rows = load_index(prepared)
    assert [read_rgb(row["image"]).shape for row in rows] == [(3, 188, 300)] * 2 + [(3, 100, 140)]
    assert all("box" not in row for row in rows)
    pixels = mapped(rows[0]["image"])
    assert isinstance(pixels, np.memmap)
    assert torch.equal(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255, read_rgb(rows[0]["image"]))


def test_crops_lie_around_the_transition_and_show_all_files_through_one_window(prepared):
    row = load_index(prepared)[0]
    views, found = NativeViews(SIDE, 1.0, 0), 0
    for seed in range(100):
        view = views.of(row, seed)
        image, alpha = view.get(row["image"], read_rgb), view.get(row["alpha"], read_alpha)
        assert view.is_crop
        assert image.shape == (SIDE, SIDE, 3)
        assert np.abs(image[..., 1].astype(int) - alpha[..., 0]).max() <= 1  # green is alpha
        found += bool(alpha.min() < 128 < alpha.max())
    assert found >= 100 * (1 - ANYWHERE)
    again = views.of(row, 7).get(row["image"], read_rgb)
    assert np.array_equal(again, NativeViews(SIDE, 1.0, 0).of(row, 7).get(row["image"], read_rgb))


def test_a_share_of_the_views_are_whole(prepared):
    row = load_index(prepared)[0]
    views = NativeViews(SIDE, 0.5, 1 << 20)
    crops = sum(views.of(row, seed).is_crop for seed in range(400))
    assert abs(crops / 400 - 0.5) < 0.08
    whole = NativeViews(SIDE, 0.0, 0).of(row, 0).get(row["image"], read_rgb)
    assert whole.shape == (SIDE, SIDE, 3)
    red = whole[SIDE // 2, :, 0].astype(int)
    assert red[0] < 5
    assert red[-1] > 250


def test_zoomed_views_show_parts_of_every_size_through_one_window(prepared):
    """The columns that a view spans, as its red has them: from all 300 down to 300 / 4, of which SIDE is fewer."""
    row, views, spans = load_index(prepared)[0], NativeViews(SIDE, 0.0, 0, zoom=4.0), []
    for seed in range(200):
        view = views.of(row, seed)
        assert (view.is_crop, view.is_whole) == (False, False)
        image, alpha = view.get(row["image"], read_rgb), view.get(row["alpha"], read_alpha)
        assert image.shape == (SIDE, SIDE, 3)
        assert np.abs(image[..., 1].astype(int) - alpha[..., 0]).max() <= 1
        spans.append((int(image[..., 0].max()) - int(image[..., 0].min())) / 255 * 300)
    assert min(spans) < 80 < 150 < max(spans)
    assert abs(np.mean(np.array(spans) > 150) - 0.5) < 0.12  # half of the logarithms


def test_a_picture_smaller_than_the_crop_is_reflected():
    picture = np.arange(20, dtype=np.uint8).reshape(1, 20, 1).repeat(30, 0)
    seen = cut(picture, Window(-1, -6), 32)
    assert seen.shape == (32, 32, 1)
    assert seen[0, :8, 0].tolist() == [6, 5, 4, 3, 2, 1, 0, 1]


def test_cells_hold_soft_and_hard_transitions_and_whole_trimaps_know_only_what_was_known():
    alpha = np.zeros((40, 70), np.uint8)
    alpha[3, 3] = 90
    alpha[32:, 64:] = 255
    alpha[36, 66] = 0
    assert transition_cells(alpha).tolist() == [[0, 0], [32, 64]]
    trimap = np.repeat(np.array([0] * 7 + [255] * 9, np.uint8)[None, :, None], 16, 0)
    assert fit_trimap(trimap, 8)[4, :, 0].tolist() == [0, 0, 0, 128, 255, 255, 255, 255]
    assert fit_square(np.full((10, 40, 3), 7, np.uint8), 16).shape == (16, 16, 3)


def test_a_cut_off_file_is_named(tmp_path):
    write_alpha(tmp_path / "a.pgm", torch.zeros(1, 8, 8))
    (tmp_path / "a.pgm").write_bytes((tmp_path / "a.pgm").read_bytes()[:-1])
    with pytest.raises(BadPicture, match=r"a\.pgm: is cut off: 8 x 8"):
        mapped(tmp_path / "a.pgm")


def test_batches_of_crops_are_a_function_of_position(prepared):
    rows = load_index(prepared)

    def batches(workers: int) -> list:
        data = MatterData([Source("p", rows[:2], 1.0)], [rows[2]["image"]], SIDE, 4, 2, workers, 5, crop_share=0.5)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(1)
        return list(loader)

    alone, beside = batches(0), batches(1)
    assert alone[0].image.shape == (4, 3, SIDE, SIDE)
    assert all(torch.equal(a, b) for one, two in zip(alone, beside, strict=True) for a, b in zip(one, two, strict=True))
