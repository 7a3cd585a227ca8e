"""`stylematte doctor --gpu-check`: its checks on the emulated kernels, wrong ones found out, one line without a GPU."""

from __future__ import annotations

import pytest
import torch

from loop.cli.main import main
from stylemattegan import gpu_check
from stylemattegan.ops import cuda
from stylemattegan.ops.measure import differs
from tests.stylemattegan.implementations import need


@pytest.fixture(autouse=True)
def one_size(monkeypatch):
    """The emulation is slow."""
    monkeypatch.setattr(gpu_check, "SIZES", ((20, 21),))


def test_the_emulated_kernels_pass():
    need("emulated")
    served = {d: t for d, t in gpu_check.TOLERANCES.items() if ("act", d) in cuda.engine(True).functions}
    found = [*gpu_check.check_ops("emulated", "cpu"), *gpu_check.check_clipped("emulated", "cpu")]
    assert [verdict.line() for verdict in found if not verdict.passed] == []
    assert len(found) == 6 * 4 * 2 + 4  # ops x number types x (right, again), and the clipped ones
    assert torch.bfloat16 in served


def test_wrong_kernels_are_found_out(monkeypatch):
    need("emulated")
    right = cuda.CudaEngine.masked
    monkeypatch.setattr(cuda.CudaEngine, "masked", lambda self, *args: right(self, *args) * 1.1)
    failed = [verdict.name for verdict in gpu_check.check_ops("emulated", "cpu") if not verdict.passed]
    assert len(failed) == 3 * 4  # shapes of the filtered leaky ReLU x number types
    assert all(name.startswith("filtered_lrelu") for name in failed)


def test_networks_in_bfloat16_pass_here_too():
    found = list(gpu_check.check_networks("cpu", (torch.bfloat16,)))
    assert [verdict.passed for verdict in found] == [True, True]
    assert all(verdict.error > 1e-4 for verdict in found)


def test_what_is_no_number_has_not_passed():
    assert not gpu_check.Verdict("x", float("nan"), 1.0).passed


def test_without_a_gpu_it_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["doctor", "--gpu-check"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "stylematte: no CUDA GPU is visible to torch: there is nothing to check\n"


def test_one_bent_sample_is_no_difference():
    expected = torch.linspace(-1, 1, 2000)
    bent = expected.clone()
    bent[7] += 0.5
    assert differs(bent, expected) == 0
    assert differs(expected * 1.01, expected) == pytest.approx(0.01, rel=2e-3)
