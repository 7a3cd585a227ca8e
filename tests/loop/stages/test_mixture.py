"""Shares of the loss: real pictures keep theirs, and a handful of pairs does not weigh as much as hundreds."""

import pytest

from loop.fitting.mixture import generated_shares


def test_plenty_of_pairs_share_what_real_pictures_leave() -> None:
    assert generated_shares(0.5, {"a": 200, "b": 100}, {"a": 100, "b": 100}) == {"a": 0.25, "b": 0.25}


def test_a_pair_is_not_seen_more_often_than_a_real_picture() -> None:
    shares = generated_shares(0.5, {"a": 6, "b": 100}, {"a": 96, "b": 100})
    assert shares["a"] == pytest.approx(0.25 * 6 / 96)
    assert sum(shares.values()) <= 0.5


def test_no_pairs_no_share() -> None:
    assert generated_shares(0.5, {}, {}) == {}
