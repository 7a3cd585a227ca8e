"""The comparison with the official code: its rows, and a step of our two paths, which agree and are timed by phase."""

import argparse

import pytest
import torch

from benchmarks.generator_official import Row, apart, demand_equal, measured, row_of
from benchmarks.generator_profile import Operations, group_of
from stylemattegan.ops.convolution import conv2d


def test_rows_by_name() -> None:
    assert row_of("step-64-8") == Row("step", "small", 64, 8)
    assert row_of("forward+backward-256-official-1") == Row("forward+backward", "official", 256, 1)
    for wrong in ("step-64", "steps-64-8", "step-64-big-8"):
        with pytest.raises(ValueError, match="step"):
            row_of(wrong)


def test_outputs_that_differ_are_refused() -> None:
    expected = {"logits": torch.tensor([1.0, -2.0])}
    differences = {"cpu": apart({"logits": torch.tensor([1.0, -2.002])}, expected)}
    assert differences["cpu"]["logits"] == pytest.approx(1e-3, rel=1e-3)
    demand_equal("row", differences, {"logits": 2e-3})
    with pytest.raises(SystemExit, match=r"row: logits of cpu differs by 1.0e-03"):
        demand_equal("row", differences, {})


def test_operations_of_a_convolution_and_its_gradients() -> None:
    x, w = torch.rand(2, 16, 8, 8, requires_grad=True), torch.rand(32, 16, 3, 3, requires_grad=True)
    with Operations() as counted:
        conv2d(x, w, stride=2, padding=1, impl="reference").sum().backward()
        conv2d(x[:, :1], w[:1, :1], impl="reference")
    assert counted.total == 3 * 2.0 * 2 * 4 * 4 * 16 * 32 * 9  # the value, by input, by weight


@pytest.mark.parametrize(("name", "group"), [("ConvolutionBackward", "convolutions"), ("aten::mm", "matrix products")])
def test_groups_of_operations(name: str, group: str) -> None:
    assert group_of(name) == group


@pytest.mark.slow  # two whole processes that time themselves
def test_a_step_of_our_two_paths() -> None:
    args = argparse.Namespace(threads=1, official=None, repeats=1, batch_gpu=0, profile=True, rounds=1)
    found = measured("step-32-4", row_of("step-32-4"), ["reference", "cpu"], args)
    assert max(found["apart"]["cpu"].values()) < 3e-3
    assert set(found["apart"]["cpu"]) == {"pictures", "logits", "G/loss", "D/loss", "D/r1", "gradient of G"}
    fast = found["sides"]["cpu"]
    phases = fast["phases"]
    assert min(phases.values()) > 0
    assert fast["cpu"] == pytest.approx(phases["G"] + phases["D"] + phases["R1"] / 16 + phases["rest"])
    assert sum(fast["profile"]["percent"].values()) == pytest.approx(100, abs=1)
