"""The ops against recorded values (first and second order), and each fast form against its reference."""

from __future__ import annotations

import math

import pytest
import torch

from stylemattegan import ops
from stylemattegan.ops.upfirdn2d_torch import LARGEST
from tests.stylemattegan.implementations import OPS_IMPLS, need, run
from tests.stylemattegan.recorded import check_orders, of_case, recorded, within


@pytest.fixture(params=OPS_IMPLS)
def impl(request):
    """Each implementation that can run here."""
    return need(request.param)


def test_upfirdn2d_recorded(impl):
    about, arrays = recorded("ops_upfirdn2d")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])
        kwargs, f = {k: case[k] for k in ("up", "down", "padding", "flip_filter", "gain")}, a.get("f")
        check_orders(
            lambda x, f=f, kwargs=kwargs: run(ops.upfirdn2d, impl, x, f, **kwargs),
            {"x": a["x"]},
            a,
            # the recorded float64 filters were scaled in float32, which only gains of 1 and 4 survive
            within(1e-5, 1e-12 if case["gain"] in (1, 4) else 2e-7),
        )


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


def test_bias_act_recorded(impl):
    about, arrays = recorded("ops_bias_act")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])
        kwargs = {k: case[k] for k in ("dim", "act", "alpha", "gain", "clamp")}

        def close(actual, expected):
            rtol, atol = (1e-5, 1e-6) if expected.dtype == torch.float32 else (1e-9, 1e-11)
            torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)

        leaves = {k: a[k] for k in ("x", "b") if k in a}
        check_orders(lambda x, b=None, kwargs=kwargs: run(ops.bias_act, impl, x, b, **kwargs), leaves, a, close)


def test_filtered_lrelu_recorded(impl):
    about, arrays = recorded("ops_filtered_lrelu")
    names = ("up", "down", "padding", "gain", "slope", "clamp", "flip_filter")
    for case in about["cases"]:
        a = of_case(arrays, case["id"])

        fu, fd = a.get("fu"), a.get("fd")

        def function(x, b=None, fu=fu, fd=fd, case=case):
            return run(ops.filtered_lrelu, impl, x, fu, fd, b, **{k: case[k] for k in names})

        check_orders(function, {k: a[k] for k in ("x", "b") if k in a}, a, within(2e-5, 3e-7))


def test_modulated_conv2d_recorded(impl):
    about, arrays = recorded("layers")
    for case in about["cases"]:
        if case["kind"] != "modulated_conv2d":
            continue
        a = of_case(arrays, case["id"])
        padding = case["padding"] if isinstance(case["padding"], int) else tuple(case["padding"])
        gain = a.get("input_gain")

        def function(x, w, s, case=case, padding=padding, gain=gain):
            return run(ops.modulated_conv2d, impl, x, w, s, case["demodulate"], padding, gain)

        check_orders(function, {k: a[k] for k in ("x", "w", "s")}, a, within(2e-5, 1e-11))


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
        y = run(ops.filtered_lrelu, each, leaves[0], fu, fd, leaves[2], scale=leaves[1], **kwargs)
        results.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    assert results[0][0].shape == (5, 3, 12, 12)
    for reference, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, reference, rtol=1e-6, atol=1e-6)


def test_modulated_conv2d_forms_agree(impl):
    torch.manual_seed(0)
    x, w, s = torch.randn(3, 4, 6, 6).double(), torch.randn(5, 4, 3, 3).double(), torch.randn(3, 4).double()
    for gain in (None, torch.tensor(0.3), torch.rand(4), torch.rand(3, 4)):
        a, b = (run(ops.modulated_conv2d, each, x, w, s, padding=2, input_gain=gain) for each in ("reference", impl))
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
        ops.set_default("opencl")
    with pytest.raises(ValueError, match="nothing is left"):
        ops.filtered_lrelu(x, torch.ones(5), torch.ones(5))
    with pytest.raises(ValueError, match="positive"):
        ops.filtered_lrelu(x, gain=0.0)


def test_keep_big_blocks_is_harmless():
    assert ops.keep_big_blocks() in (True, False)
