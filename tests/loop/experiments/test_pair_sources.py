"""The experiments `capacity` and `source`: their arms, the sizes that are asked for, and the slope."""

import pytest

from loop.experiments import named
from loop.experiments.experiment import Row
from loop.experiments.questions.capacity import conclude, slope
from stylematte.errors import ConfigError


def test_sizes_are_arms_and_the_smallest_is_the_control():
    asked = named("capacity").of_sizes([200, 50, 200])
    assert dict(asked.arms) == {"50-pairs": ("synthesize.count=50",), "200-pairs": ("synthesize.count=200",)}
    assert asked.control == "50-pairs"
    with pytest.raises(ConfigError, match="sizes 7: expected two or more"):
        named("capacity").of_sizes([7])
    with pytest.raises(ConfigError, match="source has no sizes"):
        named("source").of_sizes([1, 2])


def test_the_slope_is_for_each_doubling():
    assert slope({25: 3.0, 50: 2.5, 100: 2.0}) == pytest.approx(-0.5)
    rows = [Row(f"{n}-pairs", "cats, round 1", "SAD", mean, (mean,), (0,), 4) for n, mean in ((25, 3.0), (100, 2.0))]
    assert conclude(rows) == ["Each doubling of the pairs changes SAD by -0.5000 in cats, round 1."]


def test_sources_differ_in_nothing_but_the_source():
    arms = named("source").arms
    assert {words[0].partition("=")[0] for words in arms.values()} == {"synthesize.source"}
    assert all(len(words) == 1 for words in arms.values())
