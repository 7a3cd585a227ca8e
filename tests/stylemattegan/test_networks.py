"""Generator and discriminator against recorded pictures, logits and gradients; their behaviour at small sizes."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from stylemattegan.networks import Discriminator, Generator, MappingNetwork, SynthesisInput
from stylemattegan.networks.discriminator import ConvLayer, minibatch_std
from stylemattegan.networks.mapping import FullyConnected
from stylemattegan.networks.schedule import bands, layers
from stylemattegan.ops import set_default

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "stylegan3"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no recorded values at {FIXTURES}")
# The recorded gradients come from other rounding. Where an upsampled sample is within rounding of 0, the two pick
# different slopes of the leaky ReLU; one such sample of 2e5 moves a gradient by 2e-3 of its norm.
KINK = 5e-3
TINY = dict(z_dim=8, w_dim=8, channel_base=128, channel_max=6)


def kwargs_of(recorded: dict) -> dict:
    """Our keyword arguments from the recorded nested ones."""
    kwargs = {k: v for k, v in recorded.items() if k not in ("mapping_kwargs", "epilogue_kwargs")}
    if recorded.get("mapping_kwargs"):
        kwargs["mapping_layers"] = recorded["mapping_kwargs"]["num_layers"]
    return kwargs | recorded.get("epilogue_kwargs", {})


def state_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().norm() / b.norm().clamp_min(1e-20))


def all_recorded(kind: str) -> list:
    path = FIXTURES / f"{kind}.json"
    rows = json.loads(path.read_text())[kind] if path.exists() else []
    return [pytest.param(r, id=r["name"]) for r in rows if "architecture" not in r["init_kwargs"]]


def build(row: dict, kind):
    tensors = load_file(FIXTURES / row["file"])
    network = kind(**kwargs_of(row["init_kwargs"]))
    network.load_state_dict(state_of(tensors, "sd."))
    assert sum(p.numel() for p in network.parameters()) == row["params"]
    return network, tensors


def assert_picture(actual: Tensor, expected: Tensor) -> None:
    assert float((actual - expected).detach().abs().max()) <= 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("row", all_recorded("generators"))
def test_generator_recorded(row):
    G, t = build(row, Generator)
    z, c = t["z"], t["c"]
    assert G.synthesis.layer_names == row["layer_names"]
    with torch.no_grad():
        assert_picture(G.mapping(z, c), t["ws"])
        assert_picture(G(z, c), t["img"])
        assert_picture(G(z, c, psi=0.7), t["img_psi0.7"])
        assert_picture(G(z, c, psi=torch.full((len(z),), 0.7)), t["img_psi0.7"])
        assert_picture(G.mapping(z, c, psi=0.5, truncation_cutoff=4), t["ws_psi0.5_cutoff4"])
        G.synthesis.input.transform.copy_(t["transform"])
        assert_picture(G.synthesis(t["ws"]), t["img_transform"])
        G.synthesis.input.transform.copy_(torch.eye(3))
        assert_picture(G(z, c, update_emas=True), t["img_with_update_emas"])
    for key, value in state_of(t, "sd_after.").items():
        torch.testing.assert_close(G.state_dict()[key], value)


@pytest.mark.parametrize("impl", ["reference", "torch", "cpu"])
@pytest.mark.parametrize("row", all_recorded("generators"))
def test_generator_gradients_recorded(row, impl):
    G, t = build(row, Generator)
    ws = t["ws_in"].clone().requires_grad_()
    set_default(impl)
    try:
        picture = G.synthesis(ws)
        (picture * t["gimg"]).sum().backward()
    finally:
        set_default("auto")
    tolerance = 1e-3 if impl == "reference" else KINK
    assert_picture(picture, t["img_from_ws_in"])
    assert relative(ws.grad, t["grad_ws_in"]) < tolerance
    parameters = dict(G.named_parameters())
    for key, value in state_of(t, "grad.").items():
        assert relative(parameters[key].grad, value) < tolerance, key


@pytest.mark.parametrize("row", all_recorded("discriminators"))
def test_discriminator_recorded(row):
    """Logits, R1 and the gradients through R1 (second order), gamma = 10."""
    D, t = build(row, Discriminator)
    images = t["img"].clone().requires_grad_()
    logits = D(images, t["c"])
    torch.testing.assert_close(logits, t["logits"], rtol=0, atol=1e-4 * float(t["logits"].abs().max()))
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    penalty = gradient.square().sum([1, 2, 3])
    assert relative(gradient, t["r1_grad"]) < 2e-3
    assert relative(penalty, t["r1_penalty"]) < 2e-3
    (torch.nn.functional.softplus(-logits[:, 0]) + 5 * penalty).mean().backward()
    parameters = dict(D.named_parameters())
    for key, norm in row["grad_norms"].items():
        assert float(parameters[key].grad.norm()) == pytest.approx(norm, rel=2e-3)
    for key, value in state_of(t, "grad.").items():
        assert relative(parameters[key].grad, value) < 2e-3, key


@needs_fixtures
def test_layers_recorded():
    arrays = np.load(FIXTURES / "layers.npz")
    for case in json.loads((FIXTURES / "layers.json").read_text())["cases"]:
        check = LAYER_CHECKS.get(case["kind"])
        a = {k.split("/", 1)[1]: torch.from_numpy(arrays[k]) for k in arrays if k.startswith(case["id"] + "/")}
        if check is not None:
            for actual, expected in check(case, a):
                atol = (2e-5 if expected.dtype == torch.float32 else 1e-11) * float(expected.abs().max())
                torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def _resampled_conv(case, a):
    if case["up"] != 1 or not case["flip_weight"] or case["groups"] != 1 or case["padding"] != a["w"].shape[2] // 2:
        return
    layer = ConvLayer(4, 6, a["w"].shape[2], bias=False, activation="linear", down=case["down"]).double()
    layer.weight.data = a["w"] / layer.weight_gain
    layer.resample_filter = a["f"]
    yield layer(a["x"]), a["y"]


def _fully_connected(case, a):
    layer = FullyConnected(7, 5, case["activation"], case["lr_multiplier"])
    layer.weight.data = a["weight"]
    if case["has_bias"]:
        layer.bias.data = a["bias"]
    yield layer(a["x"]), a["y"]


def _synthesis_input(case, a):
    size = case["size"] if isinstance(case["size"], int) else tuple(case["size"])
    layer = SynthesisInput(6, case["channels"], size, case["sampling_rate"], case["bandwidth"])
    layer.load_state_dict({k: v for k, v in a.items() if k not in ("w", "y")})
    yield layer(a["w"]), a["y"]


def _mapping(case, a):
    network = MappingNetwork(case["z_dim"], case["c_dim"], 7, case["num_ws"], case["num_layers"])
    network.load_state_dict(state_of(a, "sd."))
    yield network(a["z"], a["c"]), a["w"]
    yield network(a["z"], a["c"], psi=0.7), a["w_psi07"]
    yield network(a["z"], a["c"], psi=0.5, truncation_cutoff=2), a["w_psi05_cut2"]
    network(a["z"], a["c"], update_emas=True)
    yield network.w_avg, a["w_avg_after"]


LAYER_CHECKS = {
    "conv2d_resample": _resampled_conv,
    "fully_connected": _fully_connected,
    "synthesis_input": _synthesis_input,
    "mapping": _mapping,
    "minibatch_std": lambda case, a: [(minibatch_std(a["x"], case["group_size"], case["num_channels"]), a["y"])],
}


@needs_fixtures
def test_schedule_of_official_configurations():
    for config in json.loads((FIXTURES / "schedule.json").read_text())["configs"]:
        kwargs = config["synthesis_kwargs"]
        if "filter_size" in kwargs:  # other taps are not offered
            continue
        signal = bands(
            config["img_resolution"],
            config["img_channels"],
            kwargs["channel_base"],
            kwargs["channel_max"],
            num_critical=kwargs.get("num_critical", 2),
        )
        plans = layers(
            signal, kwargs.get("num_critical", 2), kwargs.get("conv_kernel", 3), kwargs.get("use_radial_filters", False)
        )
        assert len(plans) == len(config["layers"])
        for plan, row in zip(plans, config["layers"], strict=True):
            assert (plan.name, plan.up, plan.down) == (row["name"], row["up_factor"], row["down_factor"])
            assert (plan.up_taps, plan.down_taps) == (row["up_taps"], row["down_taps"])
            assert [plan.before, plan.after] * 2 == row["padding"]
            assert plan.inner_rate == row["tmp_sampling_rate"]
            for end, band in (("in", plan.source), ("out", plan.target)):
                assert (band.channels, band.size) == (row[f"{end}_channels"], row[f"{end}_size"])
                assert band.rate == row[f"{end}_sampling_rate"]
                assert band.cutoff == pytest.approx(row[f"{end}_cutoff"], rel=1e-12)
                assert band.half_width == pytest.approx(row[f"{end}_half_width"], rel=1e-12)


# --- behaviour


@pytest.mark.parametrize(("resolution", "num_layers", "margin"), [(32, 8, 4), (64, 10, 6), (64, 6, 2), (128, 8, 4)])
def test_small_generators_train_and_agree_with_reference(resolution, num_layers, margin):
    torch.manual_seed(0)
    G = Generator(**TINY, img_resolution=resolution, num_layers=num_layers, margin_size=margin)
    z = torch.randn(2, 8)
    picture = G(z)
    assert picture.shape == (2, 4, resolution, resolution)
    assert picture.dtype == torch.float32
    picture.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in G.parameters())
    set_default("reference")
    try:
        with torch.no_grad():
            assert relative(G(z), picture) < 1e-5
    finally:
        set_default("auto")


def test_config_rebuilds_and_copies_share_nothing():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4, c_dim=3)
    other = Generator(**json.loads(json.dumps(G.config)))
    other.load_state_dict(G.state_dict())
    twin = copy.deepcopy(G)
    z, c = torch.randn(2, 8), torch.eye(3)[:2]
    assert torch.equal(other(z, c), G(z, c))
    assert torch.equal(twin(z, c), G(z, c))
    D = Discriminator(32, channel_base=128, channel_max=8, c_dim=3)
    assert Discriminator(**json.loads(json.dumps(D.config)))(G(z, c), c).shape == (2, 1)


def test_psi_zero_is_the_mean_picture_for_every_latent():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4).eval()
    G.mapping.w_avg.normal_()
    with torch.no_grad():
        a, b = G(torch.randn(2, 8), psi=0.0)
        mixed = G(torch.randn(2, 8), psi=torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(mixed[0], a)
    assert relative(mixed[1], a) > 0.01


def test_a_sample_does_not_depend_on_its_batch():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4).eval()
    z = torch.randn(4, 8)
    with torch.no_grad():
        torch.testing.assert_close(G(z)[2:3], G(z[2:3]), rtol=1e-4, atol=1e-5)


def test_emas_move_only_when_asked():
    G = Generator(**TINY, img_resolution=32, num_layers=8, margin_size=4)
    before = copy.deepcopy(G.state_dict())
    G(torch.randn(2, 8))
    assert all(torch.equal(before[k], v) for k, v in G.state_dict().items())
    G(torch.randn(2, 8), update_emas=True)
    moved = {k for k, v in G.state_dict().items() if not torch.equal(before[k], v)}
    assert moved == {"mapping.w_avg"} | {k for k in before if k.endswith("magnitude_ema")}


def test_minibatch_std_groups_of_ranks_are_groups_of_the_whole():
    """8 samples in groups of 4: 2 groups, so 2 processes with rows rank::2 see whole groups."""
    x = torch.randn(8, 4, 3, 3)
    whole = minibatch_std(x, 4)
    for rank in range(2):
        torch.testing.assert_close(minibatch_std(x[rank::2], 4), whole[rank::2])
    assert float(minibatch_std(torch.ones(4, 2, 1, 1), 4)[0, 2, 0, 0]) == pytest.approx(1e-4)  # sqrt(1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Generator(img_resolution=48), "img_resolution=48: expected a power of two"),
        (
            lambda: Generator(img_resolution=32, num_layers=2),
            "num_critical=2: expected between 0 and num_layers - 1 = 1",
        ),
        (lambda: Discriminator(33), "img_resolution=33: expected a power of two"),
        (lambda: Discriminator(32, channel_base=16), "channel_base=16"),
        (lambda: Generator(**TINY, img_resolution=32, num_layers=6)(torch.randn(1, 9)), r"expected \(N, 8\)"),
        (lambda: Discriminator(32, channel_base=64)(torch.ones(1, 3, 32, 32)), r"expected \(N, 4, 32, 32\)"),
        (lambda: minibatch_std(torch.ones(6, 1, 1, 1), 4), "a batch of 6 does not divide"),
    ],
)
def test_errors_are_one_clear_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
