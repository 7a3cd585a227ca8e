"""Ranges beside fields, and configurations as plain JSON: there and back they are equal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from stylematte.config import DetailConfig, FpnConfig, MatterConfig, NetworkConfig, network_from_plain
from stylematte.fields import from_plain, impossible, ranged, to_plain


class Colour(str, Enum):
    red = "red"


@dataclass
class Inner:
    share: float = ranged(0.5, 0, 1)
    count: int = ranged(3, 1)


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    colour: Colour = Colour.red
    pair: tuple[float, float] = (0.25, 1.0)
    maybe: int | None = ranged(None, 0)
    free: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        if self.pair[0] > self.pair[1]:
            yield f"pair={self.pair}: expected low, then high"


def test_each_number_out_of_range_is_one_line_with_its_full_name() -> None:
    wrong = Outer(Inner(1.5, 0), pair=(2.0, 1.0), maybe=-1, free=float("nan"))
    assert list(impossible(wrong, "outer")) == [
        "outer.inner.share=1.5: expected a number from 0 to 1",
        "outer.inner.count=0: expected 1 or more",
        "outer.maybe=-1: expected 0 or more",
        "outer.free=nan: expected a finite number",
        "outer.pair=(2.0, 1.0): expected low, then high",
    ]
    assert list(impossible(Outer(Inner(0.0, 1)))) == list(impossible(Outer(Inner(1.0), maybe=0))) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_range_holds_what_json_cannot(value: float) -> None:
    assert len(list(impossible(Inner(value)))) == 1


def test_plain_and_back_is_equal_through_json() -> None:
    config = Outer(Inner(1.0, 9), maybe=4, options={"depths": [1, 2], "deep": {"a": None}})
    plain = json.loads(json.dumps(to_plain(config)))
    assert plain["colour"] == "red"
    assert plain["pair"] == [0.25, 1.0]
    assert from_plain(Outer, plain) == config


def test_a_network_comes_back_as_the_variant_it_was() -> None:
    for network in (FpnConfig(channels=16), DetailConfig(detail_channels=4)):
        config = MatterConfig(network=network)
        plain = json.loads(json.dumps(to_plain(config)))
        assert from_plain(MatterConfig, plain, {NetworkConfig: network_from_plain}) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "blue"}, "'blue' is not a valid Colour"),
        ({"surplus": 1}, "surplus"),
        ({"inner": {"share": "much", "count": 1}}, "inner.share"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_plain(Outer, {**to_plain(Outer()), **change})
