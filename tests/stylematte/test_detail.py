"""The detail network: any size, pyramids and plain ViTs, a trimap it uses, edges of colour alone, exact files."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from stylematte.config import BackboneConfig, DetailConfig, FpnConfig
from stylematte.errors import ConfigError
from stylematte.inference.predict import predict
from stylematte.losses.alpha import l1
from stylematte.networks.detail import DetailStyleMatte, known_channels
from stylematte.networks.intermediate import PlainBackbone
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import load_matter, save_matter

SWIN = ("swin_tiny_patch4_window7_224", {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 4, 8]})
CONVNEXT = ("convnext_atto", {"depths": [1] * 4, "dims": [8] * 4})
CONV = "mobilenetv3_small_050"
TINY = {"embed_dim": 32, "depth": 4, "num_heads": 2}
VIT, DINOV2, DINOV3 = (
    (name, TINY) for name in ("vit_tiny_patch16_224", "vit_small_patch14_dinov2", "vit_small_patch16_dinov3")
)


def asked(backbone, weights=None):
    name, kwargs = backbone
    return BackboneConfig(name, weights, kwargs)


def tiny(backbone, **kwargs):
    torch.manual_seed(0)
    return DetailStyleMatte(DetailConfig(backbone=asked(backbone), channels=16, detail_channels=4, **kwargs))


@pytest.fixture(scope="module")
def swin():
    return tiny(SWIN).eval()


@pytest.mark.parametrize("size", [(64, 64), (37, 91), (31, 5), (1, 1)])
@pytest.mark.parametrize("guided", [False, True])
def test_any_size_gives_an_alpha_of_that_size(swin, size, guided):
    trimap = [torch.full((2, 1, *size), 0.5)] if guided else []
    with torch.no_grad():
        alpha = swin(torch.rand(2, 3, *size), *trimap)
    assert alpha.shape == (2, 1, *size)
    assert alpha.dtype == torch.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1


@pytest.mark.parametrize("backbone", [SWIN, CONVNEXT, VIT, DINOV2, DINOV3], ids=lambda backbone: backbone[0])
def test_gradient_reaches_every_parameter(backbone):
    network = tiny(backbone)
    trimap = torch.randint(0, 3, (2, 1, 64, 64)) / 2
    alpha = network(torch.rand(2, 3, 64, 64), trimap)
    (alpha * torch.rand_like(alpha)).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    ours = {n: p for n, p in network.named_parameters() if not n.startswith("backbone.extractor")}
    assert [name for name, p in ours.items() if not p.grad.any()] == []


@pytest.mark.parametrize("backbone", [VIT, DINOV2, DINOV3], ids=lambda backbone: backbone[0])
def test_plain_vits_give_a_pyramid(backbone):
    encoder = PlainBackbone(asked(backbone))
    with torch.no_grad():
        maps = encoder(torch.rand(1, 3, 64, 96))
    assert encoder.channels == [8, 16, 32, 32]
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 24), (16, 8, 12), (32, 4, 6), (32, 2, 3)]


def test_a_plain_vits_maps_are_of_its_own_blocks_and_weights(tmp_path):
    """The map at the tokens' own stride is timm's third quarter, and a classifier's file fills it."""
    classifier = timm.create_model(VIT[0], pretrained=False, dynamic_img_size=True, **TINY).eval()
    save_file(classifier.state_dict(), tmp_path / "vit.safetensors")
    encoder, image = PlainBackbone(asked(VIT, str(tmp_path / "vit.safetensors"))).eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        normalised = (image - encoder.mean) / encoder.std
        theirs = classifier.forward_intermediates(normalised, indices=[2], norm=True, intermediates_only=True)
        torch.testing.assert_close(encoder(image)[2], theirs[0])


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (("vit_tny_patch16_224", {}), "did you mean vit_tiny_patch16_224"),
        (("vit_tiny_patch16_224", {"depth": 3, "embed_dim": 32, "num_heads": 2}), "3 blocks"),
        (("vit_tiny_patch16_224", {"num_classes": 3}), "kwargs may not hold num_classes"),
        (("vit_tiny_patch16_224", {"dpeth": 3}), "dpeth"),
        (("vit_tiny_patch16_224", {**TINY, "dynamic_img_size": False}), "any size"),
    ],
)
def test_unusable_backbones_are_refused_in_one_line(backbone, message):
    with pytest.raises(ConfigError, match=message) as caught:
        tiny(backbone)
    assert "\n" not in str(caught.value)


def test_known_regions_are_two_channels():
    trimap = torch.tensor([0.0, 0.5, 1.0, 0.75]).view(1, 1, 1, 4)
    assert known_channels(trimap).tolist() == [[[[0, 0, 1, 0.5]], [[1, 0, 0, 0]]]]


def test_a_trimap_of_unknown_is_no_trimap_and_a_known_one_is_heard(swin):
    image = torch.rand(1, 3, 40, 72)
    unknown, left = torch.full((1, 1, 40, 72), 0.5), torch.full((1, 1, 40, 72), 0.5)
    left[..., :20] = 1
    with torch.no_grad():
        none = swin(image)
        assert swin(image, unknown).equal(none)
        assert (swin(image, left) - none).abs().max() > 1e-3
        assert (swin(image, left) - swin(image, 1 - left)).abs().max() > 1e-3


@pytest.mark.usefixtures("unchecked")
def test_inputs_of_other_shapes_are_refused_with_the_cure(swin):
    with pytest.raises(ValueError, match="resize it"):
        swin(torch.rand(1, 3, 40, 72), torch.rand(1, 1, 40, 71))
    with pytest.raises(ValueError, match="convert it to RGB"):
        swin(torch.rand(1, 4, 32, 32))


def two_colours_of_one_grey(size=64):
    """A disc on a ground of the same channel mean, which is what the guided filter sees: (1, 3, S, S), (1, 1, S, S)."""
    y, x = torch.meshgrid(torch.arange(size) - 29.3, torch.arange(size) - 33.8, indexing="ij")
    alpha = (16.5 - (x.square() + y.square()).sqrt()).clamp(0, 1)[None, None]
    front, back = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.7, 0.3, 0.5), (0.3, 0.7, 0.5)))
    return alpha * front + (1 - alpha) * back, alpha


def test_an_edge_of_colour_alone_is_learned_better_than_with_the_guided_filter():
    image, alpha = two_colours_of_one_grey()
    assert image.mean(1).std() < 1e-6
    errors = {}
    for options in (FpnConfig, DetailConfig):
        torch.manual_seed(0)
        network = build_matter(options(backbone=BackboneConfig(CONV), channels=16)).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(20):
            optimizer.zero_grad()
            l1(network(torch.cat([image, image.flip(-1)])), torch.cat([alpha, alpha.flip(-1)])).mean().backward()
            optimizer.step()
        with torch.no_grad():
            edge = (alpha > 0) & (alpha < 1)
            errors[options.variant] = (
                (network(torch.cat([image, image.flip(-1)]))[:1] - alpha)[edge].abs().mean().item()
            )
    assert errors["detail"] < 0.7 * errors["fpn"], errors


@pytest.mark.parametrize("backbone", [SWIN, CONVNEXT, VIT], ids=lambda backbone: backbone[0])
def test_checkpointing_changes_no_gradient(backbone):
    image, gradients = torch.rand(2, 3, 64, 64), []
    for switch in (False, True):
        network = tiny(backbone, gradient_checkpointing=switch).train()
        network(image).square().mean().backward()
        gradients.append({name: p.grad for name, p in network.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_channels_last_changes_no_alpha(swin):
    other, image = tiny(SWIN, channels_last=True).eval(), torch.rand(1, 3, 40, 50)
    assert other.head.weight.is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        torch.testing.assert_close(other(image), swin(image))


@pytest.mark.parametrize("backbone", [SWIN, DINOV2], ids=lambda backbone: backbone[0])
def test_saved_and_loaded_is_the_same_network(tmp_path, backbone):
    network, image = tiny(backbone, channels_last=True).eval(), torch.rand(3, 40, 50)
    save_matter(tmp_path, network, {"round": 3})
    loaded = load_matter(tmp_path)
    assert type(loaded) is DetailStyleMatte
    assert loaded.config == network.config == build_matter(network.config).config
    assert predict(loaded, image).equal(predict(network, image))
    trimap = torch.ones(1, 1, 40, 50)
    with torch.no_grad():
        assert loaded(image[None], trimap).equal(network(image[None], trimap))


def test_logits_are_float32_under_autocast(swin):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        alpha = swin(torch.rand(1, 3, 32, 32))
    assert alpha.dtype == torch.float32
