"""The CUDA kernels: emulated on the CPU everywhere, on a GPU where there is one, and compiled where there is nvcc."""

from __future__ import annotations

import logging
import subprocess

import pytest
import torch
from torch import Tensor

from stylemattegan import ops
from stylemattegan.ops import build, cuda, implementation
from tests.stylemattegan.implementations import need, run

# (up, taps, down, taps, padding): the two shapes of the published networks, and one that has no kernel of its own
SHAPES = [(2, 12, 2, 12, [9, 8, 9, 8]), (4, 24, 2, 12, [-6, -9, -6, -9]), (3, 7, 2, 5, [4, -2, 3, 5])]


@pytest.fixture(params=["emulated", "cuda"])
def impl(request):
    return need(request.param)


def filters(shape, radial: bool = False) -> tuple[Tensor, Tensor]:
    up, up_taps, _, down_taps, _ = shape
    return ops.lowpass_filter(up_taps, 2, 6, 16 * up), ops.lowpass_filter(down_taps, 3, 6, 32, radial)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orders(impl: str, shape, radial: bool, dtype: torch.dtype, size: tuple[int, int] = (57, 44)) -> list[Tensor]:
    """Value, first derivatives, and a second derivative of the filtered leaky ReLU, several tiles large."""
    x, scale, b = pictures(2, 3, *size), pictures(2, 3, seed=1).abs() + 0.5, pictures(3, seed=2)
    leaves = [t.to(dtype).requires_grad_() for t in (x, scale, b)]
    up, _, down, _, padding = shape
    kwargs = dict(up=up, down=down, padding=padding, clamp=0.8)
    y = run(ops.filtered_lrelu, impl, leaves[0], *filters(shape, radial), leaves[2], scale=leaves[1], **kwargs)
    gy = pictures(*y.shape, seed=3).to(dtype).requires_grad_()
    first = torch.autograd.grad(y, leaves, gy, create_graph=True)
    (second,) = torch.autograd.grad((first[0] * pictures(*x.shape, seed=4).to(dtype)).sum(), gy)
    return [y.detach(), *(g.detach() for g in first), second]


def largest_difference(actual: list[Tensor], expected: list[Tensor]) -> float:
    pairs = zip(actual, expected, strict=True)
    return max(float((a.double() - e).abs().max() / e.abs().max()) for a, e in pairs)


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tiles_make_one_picture(impl, shape, radial):
    expected = orders("reference", shape, radial, torch.float64)
    assert largest_difference(orders(impl, shape, radial, torch.float64), expected) < 1e-12
    assert largest_difference(orders(impl, shape, radial, torch.float32), expected) < 2e-5


@pytest.mark.parametrize(("dtype", "epsilon"), [(torch.float16, 2**-11), (torch.bfloat16, 2**-8)])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_half_precision_sums_in_float32(impl, shape, dtype, epsilon):
    """Inputs and outputs are rounded, nothing between: a few roundings of the largest value, whatever the taps."""
    rounded = [t.to(dtype).double() for t in (pictures(2, 3, 20, 21), pictures(3, seed=1))]
    up, _, down, _, padding = shape
    kwargs = dict(up=up, down=down, padding=[abs(p) for p in padding], clamp=1.0)
    results = []
    for each, numbers in (("reference", torch.float64), (impl, dtype)):
        x, b = (t.to(numbers).requires_grad_() for t in rounded)
        y = run(ops.filtered_lrelu, each, x, *filters(shape), b, **kwargs)
        cotangent = pictures(*y.shape, seed=2).to(dtype)
        results.append([y.detach(), torch.autograd.grad(y, x, cotangent.to(numbers))[0]])
    assert largest_difference(results[1], results[0]) < epsilon
    assert {t.dtype for t in results[1]} == {dtype}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_pointwise_and_resampling(impl, dtype):
    x, fir = pictures(2, 3, 18, 34).to(dtype), ops.setup_filter([1, 3, 3, 1])
    epsilon = torch.finfo(dtype).eps
    for op, args, kwargs in (
        (ops.upfirdn2d, (fir,), dict(down=2, padding=1)),
        (ops.upfirdn2d, (fir,), dict(up=2, padding=[2, 1, 2, 1], gain=4.0)),
        (ops.bias_act, (), dict(act="lrelu", clamp=0.7)),
    ):
        expected = op(x.double(), *args, **kwargs, impl="reference")
        actual = run(op, impl, x, *args, **kwargs)
        assert actual.dtype == dtype
        assert largest_difference([actual], [expected]) < epsilon


def test_no_call_of_a_phase_needs_another():
    """Threads run in any order between two barriers: so do the emulated calls, with equal bits."""
    need("emulated")
    engine = cuda.engine(emulated=True)
    for shape in SHAPES:
        results = []
        for descending in (0, 1):
            engine.loaded.sm_descending(descending)
            try:
                results.append(orders("emulated", shape, True, torch.float32))
            finally:
                engine.loaded.sm_descending(0)
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_remembers_two_bits_per_sample(impl):
    f, saved = torch.full((4,), 0.25), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        x = torch.randn(2, 16, 8, 8, requires_grad=True)
        run(ops.filtered_lrelu, impl, x, f, f, up=2, down=2, padding=3)
    (mask,) = saved
    assert mask.shape == (2 * 16, 19, 2)  # 19 samples in two words of 16
    assert mask.dtype == torch.int32


def test_a_filter_larger_than_shared_memory_is_one_line(impl):
    with pytest.raises(ValueError, match="too large for the CUDA kernels; STYLEMATTE_OPS=torch"):
        run(ops.upfirdn2d, impl, torch.ones(1, 1, 4, 4), torch.ones(400), padding=200)


def test_a_blur_of_many_taps_fits(impl):
    x, f = pictures(1, 2, 40, 40), torch.rand(61)
    y = run(ops.upfirdn2d, impl, x, f, padding=30)
    torch.testing.assert_close(y, ops.upfirdn2d(x, f, padding=30, impl="reference"), rtol=0, atol=1e-3)


def test_asked_for_without_a_gpu_is_the_torch_path(monkeypatch, caplog):
    monkeypatch.setattr(cuda, "_state", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    x, f = torch.randn(1, 2, 6, 6), torch.rand(4)
    assert implementation.chosen("cuda", x) == "torch"
    torch.testing.assert_close(ops.upfirdn2d(x, f, impl="cuda"), ops.upfirdn2d(x, f, impl="reference"))
    with caplog.at_level(logging.WARNING):
        assert cuda.engine() == "no CUDA GPU is visible"
        cuda.engine()
    (record,) = caplog.records
    assert "plain torch" in record.getMessage()


def test_kernels_that_are_wrong_on_this_gpu_are_not_used():
    need("emulated")
    engine = cuda.engine(emulated=True)
    assert cuda._disagreement(engine, "cpu") is None

    class Wrong(cuda.CudaEngine):
        def masked(self, *args):
            return super().masked(*args) * 1.001

    assert "differs from the reference by 1e-03" in cuda._disagreement(Wrong(engine.file), "cpu")


def test_the_look_at_the_kernels_is_in_float32_under_autocast():
    """In bfloat16 the reference itself would be off by .02 and right kernels refused."""
    need("emulated")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cuda._disagreement(cuda.engine(emulated=True), "cpu") is None


@pytest.mark.parametrize(("dtype", "clamp"), [(torch.float16, 0.7), (torch.bfloat16, 0.7), (torch.bfloat16, 100.3)])
def test_what_was_clipped_passes_no_gradient_in_half_precision(impl, dtype, clamp):
    """0.7 is 0.69971 in float16 and 0.69922 in bfloat16, below the clamp: the rounded output looks unclipped."""
    x = (torch.tensor([[-3.0, -1.0, -0.1, 0.1, 1.0, 3.0]]) * clamp).to(dtype).requires_grad_()
    y = run(ops.bias_act, impl, x, act="lrelu", alpha=0.5, gain=1.0, clamp=clamp)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.tolist() == [[0.0, 0.5, 0.5, 1.0, 0.0, 0.0]]


def test_no_nvcc_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(build.CannotBuild, match=r"no nvcc .*: install the CUDA toolkit or set CUDA_HOME"):
        build.library_file(lambda: build.cuda_ops(("80",)))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("architecture", ["80", "90"])
def test_nvcc_compiles_the_kernels(architecture, monkeypatch, tmp_path):
    """No GPU is needed to compile; the library holds code for that very architecture and spills no registers."""
    try:
        build.nvcc(), build.ninja()
    except build.CannotBuild as error:
        pytest.skip(str(error))
    monkeypatch.setenv("STYLEMATTE_CACHE", str(tmp_path))
    file = build.library_file(lambda: build.cuda_ops((architecture,)))
    names = subprocess.run(["nm", "-D", "--defined-only", str(file)], capture_output=True, text=True, check=True).stdout
    for suffix in cuda.SUFFIX.values():
        for name in cuda.SIGNATURES:
            assert f" sm_{name}_{suffix}\n" in names
    assert f"sm_{architecture}".encode() in file.read_bytes()
