"""Single layers and the layer schedules of all official configurations against recorded values."""

from __future__ import annotations

import pytest
import torch

from stylemattegan import ops
from stylemattegan.networks import Generator, MappingNetwork, SynthesisInput
from stylemattegan.networks.conv2d_resample import conv2d_resample
from stylemattegan.networks.discriminator import ConvLayer, minibatch_std
from stylemattegan.networks.mapping import FullyConnected
from stylemattegan.networks.schedule import LayerOptions, bands, layers
from tests import fixture_files
from tests.stylemattegan.recorded import (
    IMPLS,
    about,
    check_orders,
    implementation,
    of_case,
    recorded,
    state_of,
    within,
)

close = within(2e-5, 1e-11)


def fully_connected(case, a):
    layer = FullyConnected(7, 5, case["activation"], case["lr_multiplier"])
    layer.weight.data = a["weight"]
    if case["has_bias"]:
        layer.bias.data = a["bias"]
    close(layer(a["x"]), a["y"])


def synthesis_input(case, a):
    size = case["size"] if isinstance(case["size"], int) else tuple(case["size"])
    layer = SynthesisInput(6, case["channels"], size, case["sampling_rate"], case["bandwidth"])
    layer.load_state_dict({k: v for k, v in a.items() if k not in ("w", "y")})
    close(layer(a["w"]), a["y"])


def mapping(case, a):
    sizes = (case["z_dim"], case["c_dim"], 7, case["num_ws"], case["num_layers"])
    network = MappingNetwork(*sizes, w_avg_beta=case["w_avg_beta"])
    network.load_state_dict(state_of(a, "sd."))
    close(network(a["z"], a["c"]), a["w"])
    close(network(a["z"], a["c"], psi=0.7), a["w_psi07"])
    close(network(a["z"], a["c"], psi=0.5, truncation_cutoff=2), a["w_psi05_cut2"])
    network(a["z"], a["c"], update_emas=True)
    close(network.w_avg, a["w_avg_after"])


def resampled_convolution(case, a):
    kwargs = {k: case[k] for k in ("up", "down", "padding", "groups", "flip_weight")}
    check_orders(lambda x, w: conv2d_resample(x, w, a["f"], **kwargs), {k: a[k] for k in ("x", "w")}, a, close)


CHECKS = {
    "conv2d_resample": resampled_convolution,
    "fully_connected": fully_connected,
    "synthesis_input": synthesis_input,
    "mapping": mapping,
    "minibatch_std": lambda case, a: close(minibatch_std(a["x"], case["group_size"], case["num_channels"]), a["y"]),
}
CASES = [c for c in about("layers")["cases"] if c["kind"] != "modulated_conv2d"]  # that one: test_ops.py


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("case", CASES, ids=[f"{c['kind']}-{c['id']}" for c in CASES])
def test_layer_recorded(case, impl):
    with implementation(impl):
        CHECKS[case["kind"]](case, of_case(recorded("layers")[1], case["id"]))


def test_conv_layer_is_the_resampled_convolution_with_bias_activation_gain_and_clamp():
    torch.manual_seed(0)
    layer, x = ConvLayer(4, 6, 3, down=2, gain=0.5, clamp=0.7).double(), torch.randn(2, 4, 10, 10).double()
    torch.nn.init.normal_(layer.bias)
    y = conv2d_resample(x, layer.weight / 6, layer.resample_filter, down=2, padding=1) + layer.bias[:, None, None]
    y = torch.nn.functional.leaky_relu(y, 0.2) * (2**0.5 * 0.5)
    torch.testing.assert_close(layer(x), y.clamp(-0.35, 0.35))
    assert float(layer(x).detach().abs().max()) == pytest.approx(0.35)


# --- schedules

CONFIGS = about("schedule")["configs"]


@pytest.mark.parametrize("config", CONFIGS, ids=[c["tag"] for c in CONFIGS])
def test_schedule_recorded(config):
    kwargs = config["synthesis_kwargs"]
    critical = kwargs.get("num_critical", 2)
    sizes = (config["img_resolution"], config["img_channels"], kwargs["channel_base"], kwargs["channel_max"])
    signal = bands(*sizes, num_critical=critical)
    options = LayerOptions(
        critical,
        kwargs.get("conv_kernel", 3),
        kwargs.get("use_radial_filters", False),
        kwargs.get("filter_size", 6),
        kwargs.get("lrelu_upsampling", 2),
        fp16_res=4,
    )
    first = signal[0]
    source = {"channels": first.channels, "size": [first.size] * 2, "sampling_rate": first.rate}
    assert {**source, "bandwidth": first.cutoff} == config["input"]
    filters = fixture_files.arrays("stylegan3/schedule_filters")
    for plan, row in zip(layers(signal, options), config["layers"], strict=True):
        check_plan(plan, row)
        check_filters(plan, f"{config['tag']}/{plan.name}/", filters)


def check_plan(plan, row):
    assert (plan.name, plan.up, plan.down) == (row["name"], row["up_factor"], row["down_factor"])
    assert (plan.is_torgb, plan.is_critical) == (row["is_torgb"], row["is_critically_sampled"])
    assert (plan.use_fp16, plan.radial) == (row["use_fp16"], row["down_radial"])
    assert (plan.kernel, plan.up_taps, plan.down_taps) == (row["conv_kernel"], row["up_taps"], row["down_taps"])
    assert [plan.before, plan.after] * 2 == row["padding"]
    assert plan.inner_rate == row["tmp_sampling_rate"]
    for end, band in (("in", plan.source), ("out", plan.target)):
        assert (band.channels, band.size) == (row[f"{end}_channels"], row[f"{end}_size"])
        assert band.rate == row[f"{end}_sampling_rate"]
        assert band.cutoff == pytest.approx(row[f"{end}_cutoff"], rel=1e-12)
        assert band.half_width == pytest.approx(row[f"{end}_half_width"], rel=1e-12)


def check_filters(plan, where, filters):
    sides = {"up": (plan.up_taps, plan.source, False), "down": (plan.down_taps, plan.target, plan.radial)}
    for side, (taps, band, radial) in sides.items():
        f = ops.lowpass_filter(taps, band.cutoff, band.half_width * 2, plan.inner_rate, radial)
        expected = filters.get(f"{where}{side}_filter")
        assert (f is None) == (expected is None)
        if f is not None:
            torch.testing.assert_close(f, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("config", CONFIGS, ids=[c["tag"] for c in CONFIGS])
def test_generator_of_every_official_configuration_has_the_recorded_size(config):
    """Built without memory for its weights, so 1024 x 1024 takes no longer than 64 x 64."""
    with torch.device("meta"):
        G = Generator(
            img_resolution=config["img_resolution"], img_channels=config["img_channels"], **config["synthesis_kwargs"]
        )
    assert sum(p.numel() for p in G.parameters()) == config["params_total"]
    assert sum(p.numel() for p in G.mapping.parameters()) == config["params_mapping"]
    assert sum(b.numel() for b in G.buffers()) == config["buffers_total"]
    assert G.num_ws == config["num_ws"]


def test_filter_design_recorded():
    table, filters = about("schedule"), fixture_files.arrays("stylegan3/schedule_filters")
    for case in table["filter_design_cases"]:
        f = ops.lowpass_filter(case["numtaps"], case["cutoff"], case["width"], case["fs"], case["radial"])
        if case["result"] == "identity":
            assert f is None
        else:
            assert list(f.shape) == case["result"]
            torch.testing.assert_close(f, filters[f"design/{case['id']}"], rtol=0, atol=1e-7)
