"""The accept rule: what it lets through, what it stops, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from stylematte.evaluate.statistics import Interval, decide, paired_bootstrap


def errors(values) -> dict[str, float]:
    return {f"p/{i:04d}": float(value) for i, value in enumerate(values)}


def heavy(rng: np.random.Generator, n: int, shift: float = 0.0) -> tuple[dict[str, float], dict[str, float]]:
    """Per-picture SAD of two matters: heavy-tailed, correlated, the new one `shift` better on average."""
    hard = rng.lognormal(0, 1, n)
    new, best = (hard * rng.lognormal(-0.02, 0.2, n) for _ in range(2))
    return errors(new * (1 - shift)), errors(best)


def test_means_and_change_are_the_plain_ones():
    change = paired_bootstrap(errors(range(1, 12)), errors(range(2, 24, 2)), 500, 0.95, 0)
    assert (change.mean_new, change.mean_best, change.n) == (6.0, 12.0, 11)
    # every picture halves, so every resample halves: the interval has no width
    assert (change.relative_change, change.low, change.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_few_pictures_get_the_t_interval():
    """Differences -1, 0, 1, 0 on a mean of 2: sd = sqrt(2/3), t(0.975, 3) = 3.182, so 0 +- 3.182 sqrt(1/6) / 2."""
    change = paired_bootstrap(errors([1, 2, 3, 2]), errors([2, 2, 2, 2]), 100, 0.95, 0)
    reach = 3.1824463 * (1 / 6) ** 0.5 / 2
    assert (change.low, change.relative_change, change.high) == pytest.approx((-reach, 0.0, reach))


def test_equal_mattes_rarely_pass_as_improved_even_with_few_pictures():
    rng, passed = np.random.default_rng(3), 0
    for _ in range(300):
        new, best = heavy(rng, 5)
        passed += decide({"d": paired_bootstrap(new, best, 100, 0.95, 0)}, None, 9.0, ["d"]).accepted
    assert passed <= 20  # 2.5 % is the promise, 7.5; heavy tails and luck may double it


def test_identical_errors_are_not_worse_but_not_an_improvement():
    same = errors(np.random.default_rng(0).lognormal(0, 1, 30))
    change = paired_bootstrap(same, dict(same), 1000, 0.95, 0)
    assert (change.low, change.relative_change, change.high) == (0.0, 0.0, 0.0)
    assert decide({"portraits": change}, {"portraits": change}, 0.0).accepted
    verdict = decide({"portraits": change}, {}, 0.0, ["portraits"])
    assert not verdict.accepted
    assert "must improve" in verdict.reason


def test_noise_alone_rarely_passes_must_improve():
    rng = np.random.default_rng(1)
    passed = sum(
        decide({"d": paired_bootstrap(*heavy(rng, 60), 400, 0.95, trial)}, {}, 0.05, ["d"]).accepted
        for trial in range(300)
    )
    assert passed / 300 < 0.06  # 2.5 % is the nominal rate; "the mean is better" would pass half


def test_a_known_shift_is_detected_and_its_interval_covers_it():
    rng = np.random.default_rng(2)
    changes = [paired_bootstrap(*heavy(rng, 200, shift=0.15), 400, 0.95, trial) for trial in range(60)]
    assert sum(decide({"d": change}, {}, 0.05, ["d"]).accepted for change in changes) >= 57
    assert sum(change.low <= -0.15 <= change.high for change in changes) >= 51


def test_a_known_loss_is_refused():
    new, best = heavy(np.random.default_rng(3), 200, shift=-0.3)
    verdict = decide({"d": paired_bootstrap(new, best, 1000, 0.95, 0)}, {}, 0.05)
    assert not verdict.accepted
    assert "may be worse than the best so far" in verdict.reason


def test_pairing_makes_the_interval_narrow():
    new, best = heavy(np.random.default_rng(4), 100, shift=0.1)
    paired = paired_bootstrap(new, best, 1000, 0.95, 0)
    names, values = list(new), list(new.values())
    shuffled = dict(zip(names, values[50:] + values[:50], strict=True))
    loose = paired_bootstrap(shuffled, best, 1000, 0.95, 0)
    assert paired.high - paired.low < 0.5 * (loose.high - loose.low)


def test_depends_on_seed_only_and_not_on_the_order_of_ids():
    new, best = heavy(np.random.default_rng(5), 40)
    turned = dict(reversed(list(new.items())))
    assert paired_bootstrap(new, best, 300, 0.9, 7) == paired_bootstrap(turned, best, 300, 0.9, 7)
    assert paired_bootstrap(new, best, 300, 0.9, 7) != paired_bootstrap(new, best, 300, 0.9, 8)


def test_a_wider_confidence_gives_a_wider_interval():
    new, best = heavy(np.random.default_rng(6), 40)
    narrow, wide = (paired_bootstrap(new, best, 2000, c, 0) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_picture_shows_nothing():
    change = paired_bootstrap({"a": 1.0}, {"a": 2.0}, 100, 0.95, 0)
    assert (change.low, change.relative_change, change.high, change.n) == (-1.0, -0.5, 10.0, 1)
    verdict = decide({"d": change}, {}, 0.05)
    assert not verdict.accepted
    assert "one picture shows nothing" in verdict.reason


def test_zero_errors_neither_crash_nor_count_as_change():
    assert paired_bootstrap(errors([0, 0]), errors([0, 0]), 50, 0.95, 0).high == 0.0
    appeared = paired_bootstrap(errors([0, 1]), errors([0, 0]), 50, 0.95, 0)
    assert appeared.relative_change == appeared.high == 10.0
    assert not decide({"d": appeared}, {}, 1.0).accepted


def test_blocks_do_not_change_what_is_computed():
    from stylematte.evaluate import statistics

    pair = np.random.default_rng(8).random((2, 10))
    a, b = (statistics._resample(pair, 100, np.random.default_rng(0), block) for block in (37, 10**6))
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("new", "best", "says"),
    [
        ({"a": 1.0}, {"b": 1.0}, "different pictures .*evaluate both on the same"),
        ({}, {}, "no picture to compare"),
        ({"a": float("nan")}, {"a": 1.0}, "the new matter's error on 'a' is nan"),
        ({"a": 1.0}, {"a": -1.0}, "the best matter's error on 'a' is -1.0"),
    ],
)
def test_bad_input_says_what_is_wrong(new, best, says):
    with pytest.raises(ValueError, match=says):
        paired_bootstrap(new, best, 10, 0.95, 0)


def change(relative: float, low: float, high: float) -> Interval:
    return Interval(1 + relative, 1.0, relative, low, high, 40)


def test_nothing_measured_is_refused():
    assert "nothing can be shown" in decide({}, {}, 0.05).reason


def test_every_domain_must_hold():
    good, bad = change(-0.1, -0.2, -0.01), change(0.02, -0.03, 0.08)
    assert decide({"a": good, "b": good}, {}, 0.05, ["a"]).accepted
    verdict = decide({"a": good, "b": bad}, {}, 0.05)
    assert verdict.reason == (
        "Refused: b may be worse than the best so far: "
        "SAD 1 to 1.02 (+2.0%, interval -3.0% to +8.0%, n=40), limit +5.0%."
    )
    assert decide({"a": good, "b": bad}, {}, 0.1).accepted


def test_small_losses_may_not_add_up_against_the_first_matter():
    step, drift = change(0.03, 0.01, 0.05), change(0.09, 0.06, 0.12)
    assert decide({"a": step}, {"a": step}, 0.05).accepted
    verdict = decide({"a": step}, {"a": drift}, 0.05)
    assert not verdict.accepted
    assert "than in the first round" in verdict.reason


def test_a_domain_that_must_improve_but_was_not_measured_refuses():
    verdict = decide({"a": change(-0.1, -0.2, -0.01)}, {}, 0.05, ["b"])
    assert verdict.reason == "Refused: no held-out picture of b, which must improve."
