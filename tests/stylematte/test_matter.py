"""A loaded matter is called with paths, PIL, numpy and tensors, and answers in kind; scores of pictures and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import stylematte
from stylematte.config import BackboneConfig, FpnConfig
from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import read_rgb, write_alpha, write_rgb
from stylematte.networks.stylematte import StyleMatte
from stylematte.networks.weights import save_matter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """matter/ and photo.png of 40 x 24."""
    place = tmp_path_factory.mktemp("matter")
    torch.manual_seed(0)
    network = StyleMatte(FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8))
    save_matter(place / "matter", network.eval(), {"size": 32})
    write_rgb(place / "photo.png", torch.rand(3, 24, 40))
    return place


def test_an_export_and_its_matter_folder_are_the_same(folder: Path) -> None:
    matter = stylematte.load(folder)
    assert (matter.folder, matter.trained_at) == (folder / "matter", 32)
    with pytest.raises(DataError, match="no accepted matter; expected a run folder after round 0, or an exported one"):
        stylematte.load(folder / "nothing")


def test_alpha_and_cutout_in_the_kind_of_the_photo(folder: Path) -> None:
    matter, photo = stylematte.load(folder), read_rgb(folder / "photo.png")
    alpha, cutout = matter(photo), matter.cutout(photo)
    assert alpha.shape == (1, 24, 40)
    torch.testing.assert_close(cutout[3:], alpha)
    assert matter(photo[None].expand(2, -1, -1, -1)).shape == (2, 1, 24, 40)
    for given in (folder / "photo.png", str(folder / "photo.png"), Image.open(folder / "photo.png")):
        assert np.abs(np.asarray(matter(given)) / 255 - alpha[0].numpy()).max() < 0.51 / 255
        assert (matter.cutout(given).mode, matter.cutout(given).size) == ("RGBA", (40, 24))
    array = np.asarray(Image.open(folder / "photo.png"))
    np.testing.assert_allclose(matter(array), alpha[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(matter.cutout(array), cutout.permute(1, 2, 0).numpy(), atol=1e-6)


def test_known_pixels_of_a_trimap_are_set(folder: Path) -> None:
    trimap = torch.full((1, 24, 40), 0.5)
    trimap[:, :6], trimap[:, 18:] = 0, 1
    alpha = stylematte.load(folder)(read_rgb(folder / "photo.png"), trimap)
    assert alpha[:, :6].max() == 0
    assert alpha[:, 18:].min() == 1


@pytest.mark.parametrize("wrong", [torch.rand(3, 4, 4) * 255, np.zeros((4, 4), np.uint8), 7])
def test_what_is_no_photo_is_refused(folder: Path, wrong: object) -> None:
    with pytest.raises(ConfigError, match="expected"):
        stylematte.load(folder)(wrong)


def test_scores_of_tensors_arrays_and_files_agree(tmp_path: Path) -> None:
    """A row of 8 of 64 pixels is wrong by 1: SAD 0.008 thousand, MAD 1/8."""
    truth = torch.zeros(1, 8, 8)
    pred = truth.clone()
    pred[:, 3] = 1
    write_alpha(tmp_path / "pred.png", pred)
    write_alpha(tmp_path / "truth.png", truth)
    scores = [
        stylematte.score(pred, truth),
        stylematte.score(pred[0].numpy(), truth[0].numpy()),
        stylematte.score(tmp_path / "pred.png", tmp_path / "truth.png"),
    ]
    for found in scores:
        assert found.mean["SAD"] == pytest.approx(0.008)
        assert found.mean["MAD"] == pytest.approx(1 / 8)
        assert (found.n, found.interval["SAD"]) == (1, None)
    with pytest.raises(DataError, match="the matte: 8 x 8 pixels, its truth 4 x 4; resize the prediction"):
        stylematte.score(pred, torch.zeros(1, 4, 4))
