"""Recorded values of reference implementations: those in tests/fixtures, and those that lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).parents[2] / "shared"
"""../shared beside the checkout."""
MISSING = "not beside the checkout: ../shared/"
EVERY = 7

Array = TypeVar("Array")


def about(name: str) -> dict[str, Any]:
    """tests/fixtures/NAME.json: the cases, their arguments and tolerances."""
    return dict(json.loads((FIXTURES / f"{name}.json").read_text()))


def arrays(name: str) -> dict[str, Tensor]:
    """tests/fixtures/NAME.safetensors."""
    from safetensors.torch import load_file

    return load_file(FIXTURES / f"{name}.safetensors")


def as_recorded(actual: Array, expected: Any) -> Array:
    """What of `actual` was recorded: all of it, or every 7th of its flattened values where that was too long to travel.

    Raises AssertionError when `expected` is neither.
    """
    if actual.shape == expected.shape:
        return actual
    kept: Array = actual.reshape(-1)[::EVERY]
    assert kept.shape == expected.shape, (actual.shape, expected.shape)
    return kept


def outside(name: str) -> Path:
    """../shared/NAME; a test that needs it is skipped without, and the end of the test run says so in one line."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(MISSING + name)
    return path
