"""Shapes in signatures are executed by the tests: a map of the wrong shape does not pass; elsewhere nothing looks."""

import subprocess
import sys

import jaxtyping
import pytest
import torch

from stylematte.ops.guided_filter import box_mean, linear_coefficients


def test_a_wrong_number_of_axes_or_of_channels_is_refused() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="values"):
        box_mean(torch.zeros(4, 4), 1)
    with pytest.raises(jaxtyping.TypeCheckError, match="guide"):
        linear_coefficients(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8), 1, 0.1)


def test_axes_of_one_name_must_be_equal() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="source"):
        linear_coefficients(torch.zeros(2, 1, 8, 8), torch.zeros(3, 1, 8, 8), 1, 0.1)


@pytest.mark.usefixtures("unchecked")
def test_the_switch_turns_it_off() -> None:
    assert linear_coefficients(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), 1, 0.1)[0].shape == (1, 3, 8, 8)


def test_without_the_hook_functions_are_as_written_and_beartype_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['beartype'] = None; from stylematte.ops.guided_filter import box_mean; "
        "assert not hasattr(box_mean, '__wrapped__')"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
