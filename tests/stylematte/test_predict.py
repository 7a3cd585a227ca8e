"""Prediction, and the confidence as 1 minus relative disagreement."""

import torch
from torch import nn

from stylematte.config import BackboneConfig, FpnConfig
from stylematte.inference.options import usual
from stylematte.inference.predict import agreement, predict, predict_ensemble, predict_with_confidence, sharpen
from stylematte.inference.whole import WholeViews, as_trained
from stylematte.networks.stylematte import StyleMatte


class Threshold(nn.Module):
    """A matter by brightness: the same answer for every view of a picture."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, image):
        return image.mean(1, keepdim=True) * (1 - self.shift)


class LeftHalf(Threshold):
    """A matter by position, not content: mirrored pictures get the opposite answer."""

    def forward(self, image):
        alpha = torch.zeros_like(image[:, :1])
        alpha[..., : image.shape[-1] // 2] = 1
        return alpha


def test_agreement_closed_form():
    """Two views, 0 and 1 on half of the pixels: the mean is 1/2 there, each is 1/2 off, so nothing is agreed on.

    With 1 on the other half as well, the area doubles and more: 1 - 0.25 / 0.75.
    """
    a = torch.zeros(1, 1, 4, 4)
    b = a.clone()
    b[..., :2] = 1
    assert agreement(torch.stack([a, b])).tolist() == [0.0]
    a[..., 2:] = b[..., 2:] = 1
    torch.testing.assert_close(agreement(torch.stack([a, b])), torch.tensor([2 / 3]))
    assert agreement(torch.stack([b, b])).tolist() == [1.0]


def test_empty_mattes_have_no_confidence():
    assert agreement(torch.zeros(4, 2, 1, 8, 8)).tolist() == [0.0, 0.0]
    assert agreement(torch.full((4, 1, 1, 8, 8), 5e-4)).tolist() == [0.0]


def test_consistent_network_is_sure_and_inconsistent_is_not():
    image = torch.zeros(2, 3, 32, 32)
    image[..., 8:24, 8:24] = 1
    alpha, sure = predict_with_confidence(Threshold(), image)
    torch.testing.assert_close(alpha, image[:, :1])
    assert (sure > 0.9).all()
    _, unsure = predict_with_confidence(LeftHalf(), image)
    assert (unsure < 0.5).all()


def test_predict_keeps_rank_size_and_mode():
    network = StyleMatte(FpnConfig(backbone=BackboneConfig("mobilenetv3_small_050"), channels=8)).train()
    image = torch.rand(3, 21, 50)
    alpha = predict(network, image)
    assert alpha.shape == (1, 21, 50)
    assert not alpha.is_inference()
    assert network.training
    assert network.backbone.training
    torch.testing.assert_close(predict(network, image[None])[0], alpha)
    alpha, confidence = predict_with_confidence(network, torch.rand(2, 3, 7, 9))
    assert alpha.shape == (2, 1, 7, 9)
    assert confidence.shape == (2,)


def test_the_ensemble_is_the_mean_of_eight_views():
    """A grey picture of 0.4 read by brightness: two plain views and two larger ones say 0.4, warm and cold light on the
    mean of three channels 0.4, gammas 0.8 and 1.25 what they make of it."""
    alpha = predict_ensemble(Threshold(), torch.full((2, 3, 16, 16), 0.4))
    expected = (6 * 0.4 + 0.4**0.8 + 0.4**1.25) / 8
    torch.testing.assert_close(alpha, torch.full((2, 1, 16, 16), expected))


def test_the_ensemble_sees_both_sides_alike():
    alpha = predict_ensemble(LeftHalf(), torch.rand(1, 3, 16, 16))
    assert alpha[..., :8].mean() == 6 / 8
    assert alpha[..., 8:].mean() == 2 / 8


def test_sharpening_closed_form():
    alpha = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    torch.testing.assert_close(sharpen(alpha, 2), torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]))
    torch.testing.assert_close(sharpen(alpha, 1), alpha)


def test_a_matter_of_whole_pictures_sees_them_at_its_size(tmp_path):
    """A matter by the left half of what it is shown, at 16 pixels: the same columns of a photo of 48 x 96."""
    (tmp_path / "matter.json").write_text('{"format": 2, "network": {}, "meta": {"size": 16}}')
    seen = []
    network = LeftHalf()
    network.register_forward_pre_hook(lambda _, images: seen.append(tuple(images[0].shape)))
    whole = as_trained(network, tmp_path, ["image/a.ppm"])
    assert isinstance(whole, WholeViews)
    alpha = predict(whole, torch.full((3, 48, 96), 0.5))
    assert seen == [(1, 3, 8, 16)]
    assert alpha.shape == (1, 48, 96)
    assert (alpha[..., :42].mean() > 0.98) & (alpha[..., 54:].mean() < 0.02)
    assert as_trained(network, tmp_path, ["image/a.png"]) is network


def test_a_matter_of_crops_and_whole_views_sees_photos_half_as_large_again(tmp_path):
    """Trained on whole views of 16 pixels and crops of photos of up to 96: 24 pixels; smaller photos as they are."""
    (tmp_path / "matter.json").write_text('{"format": 2, "network": {}, "meta": {"size": 16, "max_side": 96}}')
    seen = []
    network = LeftHalf()
    network.register_forward_pre_hook(lambda _, images: seen.append(tuple(images[0].shape)))
    whole = as_trained(network, tmp_path, ["image/a.ppm"])
    assert predict(whole, torch.full((3, 48, 96), 0.5)).shape == (1, 48, 96)
    assert predict(whole, torch.full((3, 10, 20), 0.5)).shape == (1, 10, 20)
    assert seen == [(1, 3, 12, 24), (1, 3, 10, 20)]
    assert usual(16, 20).size == 20  # never more than it has seen
