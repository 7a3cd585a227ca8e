"""The ops against recorded values (first and second order), and each fast form against its reference."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stylemattegan import ops
from stylemattegan.ops import cpu
from stylemattegan.ops.upfirdn2d_torch import LARGEST

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "stylegan3"
IMPLS = ["reference", "torch", "cpu"]


@pytest.fixture(params=IMPLS)
def impl(request):
    """Each implementation; cpu only where C++ can be compiled."""
    if request.param == "cpu" and not cpu.available():
        pytest.skip(f"no C++ ops: {cpu.library()}")
    return request.param


needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no recorded values at {FIXTURES}")


def recorded(name: str) -> tuple[dict, dict[str, Tensor]]:
    arrays = np.load(FIXTURES / f"{name}.npz")
    return json.loads((FIXTURES / f"{name}.json").read_text()), {k: torch.from_numpy(arrays[k]) for k in arrays}


def of_case(arrays: dict[str, Tensor], case: str) -> dict[str, Tensor]:
    return {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith(case + "/")}


def check_orders(function, leaves: dict[str, Tensor], a: dict[str, Tensor], close) -> None:
    """y, its gradients g_k for the cotangent gy, and the gradients gg_* of sum_k <g_k, v_k>."""
    leaves = {k: v.clone().requires_grad_() for k, v in leaves.items()}
    y = function(**leaves)
    close(y, a["y"])
    gy = a["gy"].clone().requires_grad_()
    first = torch.autograd.grad(y, list(leaves.values()), gy, create_graph=True)
    for name, gradient in zip(leaves, first, strict=True):
        close(gradient, a[f"g_{name}"])
    s = sum((g * a[f"v_{k}"]).sum() for k, g in zip(leaves, first, strict=True))
    second = torch.autograd.grad(s, [gy, *leaves.values()], allow_unused=True)
    for name, gradient in zip(["gy", *leaves], second, strict=True):
        expected = a[f"gg_{name}"]
        close(torch.zeros_like(expected) if gradient is None else gradient, expected)
    # the first order without a graph may take another path
    y = function(**leaves)
    for name, gradient in zip(leaves, torch.autograd.grad(y, list(leaves.values()), a["gy"]), strict=True):
        close(gradient, a[f"g_{name}"])


def within(atol32: float, atol64: float):
    """A comparison with tolerances relative to the largest expected value."""

    def close(actual: Tensor, expected: Tensor) -> None:
        atol = (atol32 if expected.dtype == torch.float32 else atol64) * max(float(expected.abs().max()), 1e-3)
        torch.testing.assert_close(actual, expected, rtol=0, atol=atol)

    return close


@needs_fixtures
def test_upfirdn2d_recorded(impl):
    about, arrays = recorded("ops_upfirdn2d")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])
        kwargs, f = {k: case[k] for k in ("up", "down", "padding", "flip_filter", "gain")}, a.get("f")
        check_orders(
            lambda x, f=f, kwargs=kwargs: ops.upfirdn2d(x, f, **kwargs, impl=impl),
            {"x": a["x"]},
            a,
            # the recorded float64 filters were scaled in float32, which only gains of 1 and 4 survive
            within(1e-5, 1e-12 if case["gain"] in (1, 4) else 2e-7),
        )


@needs_fixtures
def test_upfirdn2d_wrappers_and_setup_filter_recorded():
    about, arrays = recorded("ops_upfirdn2d")
    for case in about["wrapper_cases"]:
        a = of_case(arrays, case["id"])
        kwargs = {k: case[k] for k in ("padding", "flip_filter", "gain")} | case["kwargs"]
        within(1e-5, 2e-7)(getattr(ops, case["fn"])(a["x"], a.get("f"), **kwargs), a["y"])
    for case in about["setup_filter_cases"]:
        if "error" in case:
            with pytest.raises(ValueError, match="separable"):
                ops.setup_filter(case["f"], **case["kwargs"])
            continue
        torch.testing.assert_close(
            ops.setup_filter(case["f"], **case["kwargs"]), of_case(arrays, case["id"])["out"], check_stride=False
        )


@needs_fixtures
def test_bias_act_recorded(impl):
    about, arrays = recorded("ops_bias_act")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])
        kwargs = {k: case[k] for k in ("dim", "act", "alpha", "gain", "clamp")}

        def close(actual, expected):
            rtol, atol = (1e-5, 1e-6) if expected.dtype == torch.float32 else (1e-9, 1e-11)
            torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)

        leaves = {k: a[k] for k in ("x", "b") if k in a}
        check_orders(lambda x, b=None, kwargs=kwargs: ops.bias_act(x, b, **kwargs, impl=impl), leaves, a, close)


@needs_fixtures
def test_filtered_lrelu_recorded(impl):
    about, arrays = recorded("ops_filtered_lrelu")
    names = ("up", "down", "padding", "gain", "slope", "clamp", "flip_filter")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])

        fu, fd = a.get("fu"), a.get("fd")

        def function(x, b=None, fu=fu, fd=fd, case=case):
            return ops.filtered_lrelu(x, fu, fd, b, **{k: case[k] for k in names}, impl=impl)

        check_orders(function, {k: a[k] for k in ("x", "b") if k in a}, a, within(2e-5, 3e-7))


@needs_fixtures
def test_modulated_conv2d_recorded(impl):
    about, arrays = recorded("layers")
    for case in about["cases"]:
        if case["kind"] != "modulated_conv2d":
            continue
        a = of_case(arrays, case["id"])
        padding = case["padding"] if isinstance(case["padding"], int) else tuple(case["padding"])
        gain = a.get("input_gain")

        def function(x, w, s, case=case, padding=padding, gain=gain):
            return ops.modulated_conv2d(x, w, s, case["demodulate"], padding, gain, impl=impl)

        y = function(a["x"], a["w"], a["s"])
        within(2e-5, 1e-11)(y, a["y"])
        leaves = {k: a[k].clone().requires_grad_() for k in ("x", "w", "s")}
        gradients = torch.autograd.grad(function(**leaves), list(leaves.values()), a["gy"])
        for name, gradient in zip(leaves, gradients, strict=True):
            within(2e-5, 1e-11)(gradient, a[f"g_{name}"])


@needs_fixtures
def test_filters_of_all_official_layers_recorded():
    about, arrays = recorded("schedule_filters") if (FIXTURES / "schedule_filters.json").exists() else (None, None)
    if about is None:
        about = json.loads((FIXTURES / "schedule.json").read_text())
        found = np.load(FIXTURES / "schedule_filters.npz")
        arrays = {k: torch.from_numpy(found[k]) for k in found}
    checked = 0
    for config in about["configs"]:
        for row in config["layers"]:
            sides = {"up": (row["up_taps"], "in", False), "down": (row["down_taps"], "out", row["down_radial"])}
            for side, (taps, end, radial) in sides.items():
                key = f"{config['tag']}/{row['name']}/{side}_filter"
                f = ops.lowpass_filter(
                    taps, row[f"{end}_cutoff"], row[f"{end}_half_width"] * 2, row["tmp_sampling_rate"], radial
                )
                assert (f is None) == (key not in arrays)
                if f is not None:
                    torch.testing.assert_close(f, arrays[key], rtol=0, atol=1e-7)
                    checked += 1
    assert checked > 200


# --- closed forms and agreement, without recorded values


def test_upfirdn2d_by_hand():
    x = torch.tensor([[[[1.0, 2.0]]]])
    f = torch.tensor([[1.0, 10.0]])
    # zeros inserted: 1 0 2 0; convolution with (1, 10): y[i] = 10 x[i] + x[i + 1]
    assert ops.upfirdn2d(x, f, up=[2, 1]).tolist() == [[[[10.0, 2.0, 20.0]]]]
    assert ops.upfirdn2d(x, f, up=[2, 1], flip_filter=True).tolist() == [[[[1.0, 20.0, 2.0]]]]
    assert ops.upfirdn2d(x, f, up=[2, 1], down=[2, 1]).tolist() == [[[[10.0, 20.0]]]]
    assert ops.upfirdn2d(x, f, padding=[-1, 1, 0, 0]).tolist() == [[[[20.0]]]]


@pytest.mark.parametrize("taps", [(6,), (4, 5)])
@pytest.mark.parametrize(("up", "down", "padding"), [(1, 2, [3, 2, 1, 4]), (2, 1, [4, 3, -2, 9]), (2, 3, -1)])
def test_upfirdn2d_large_pictures_by_convolution(taps, up, down, padding):
    torch.manual_seed(0)
    x, f = torch.randn(1, 2, 9, LARGEST + 3, dtype=torch.float64), torch.randn(taps)
    kwargs = dict(up=up, down=down, padding=padding, gain=4.0)
    torch.testing.assert_close(
        ops.upfirdn2d(x, f, **kwargs), ops.upfirdn2d(x, f, **kwargs, impl="reference"), rtol=0, atol=1e-5
    )


def test_upfirdn2d_follows_a_changed_filter():
    x, f = torch.ones(1, 1, 4, 4), torch.ones(1)
    assert float(ops.upfirdn2d(x, f).sum()) == 16
    f.mul_(2)
    assert float(ops.upfirdn2d(x, f).sum()) == 64


def test_filtered_lrelu_matches_reference_in_float64(impl):
    """The geometry of a real layer (up 2, 12 taps, down 2), with scale, bias and clipping that bites."""
    torch.manual_seed(0)
    x = torch.randn(5, 3, 14, 14, dtype=torch.float64)
    scale, b = torch.rand(5, 3, dtype=torch.float64) + 0.5, torch.randn(3, dtype=torch.float64)
    fu, fd = ops.lowpass_filter(12, 2, 6, 32), ops.lowpass_filter(12, 3, 6, 32)
    kwargs = dict(up=2, down=2, padding=[9, 8, 9, 8], clamp=1.5)
    results = []
    for each in ("reference", impl):
        leaves = [t.clone().requires_grad_() for t in (x, scale, b)]
        y = ops.filtered_lrelu(leaves[0], fu, fd, leaves[2], scale=leaves[1], **kwargs, impl=each)
        results.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    assert results[0][0].shape == (5, 3, 12, 12)
    for reference, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, reference, rtol=1e-6, atol=1e-6)


def test_modulated_conv2d_forms_agree(impl):
    torch.manual_seed(0)
    x, w, s = torch.randn(3, 4, 6, 6).double(), torch.randn(5, 4, 3, 3).double(), torch.randn(3, 4).double()
    for gain in (None, torch.tensor(0.3), torch.rand(4), torch.rand(3, 4)):
        a, b = (ops.modulated_conv2d(x, w, s, padding=2, input_gain=gain, impl=each) for each in ("reference", impl))
        torch.testing.assert_close(a, b)
    # a style changes only its own sample
    other = s.clone()
    other[1] *= 7
    torch.testing.assert_close(ops.modulated_conv2d(x, w, other)[0], ops.modulated_conv2d(x, w, s)[0])


def test_lowpass_filter_of_one_tap_is_identity_and_odd_radial_is_finite():
    assert ops.lowpass_filter(1, 2, 1, 16) is None
    f = ops.lowpass_filter(7, 2, 3, 16, radial=True)
    assert torch.isfinite(f).all()
    assert math.isclose(float(f.sum()), 1, abs_tol=1e-6)


def test_errors_are_one_clear_line():
    x = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="nothing is left"):
        ops.upfirdn2d(x, torch.ones(5))
    with pytest.raises(ValueError, match="unknown activation 'gelu'"):
        ops.bias_act(x, act="gelu")
    with pytest.raises(ValueError, match="unknown implementation"):
        ops.set_default("cuda")
    with pytest.raises(ValueError, match="nothing is left"):
        ops.filtered_lrelu(x, torch.ones(5), torch.ones(5))
    with pytest.raises(ValueError, match="positive"):
        ops.filtered_lrelu(x, gain=0.0)


def test_keep_big_blocks_is_harmless():
    assert ops.keep_big_blocks() in (True, False)
