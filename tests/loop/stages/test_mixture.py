"""Shares of the loss: real pictures keep theirs, and a handful of pictures does not weigh as much as hundreds."""

import pytest

from loop.fitting.mixture import road_shares

PAIRS = {"pairs": 1.0}


def test_plenty_of_pairs_share_what_real_pictures_leave() -> None:
    found = road_shares(0.5, PAIRS, {"pairs": {"a": 200, "b": 100}}, {"a": 100, "b": 100})
    assert found == {"pairs": {"a": 0.25, "b": 0.25}}


def test_a_pair_is_not_seen_more_often_than_a_real_picture() -> None:
    shares = road_shares(0.5, PAIRS, {"pairs": {"a": 6, "b": 100}}, {"a": 96, "b": 100})["pairs"]
    assert shares["a"] == pytest.approx(0.25 * 6 / 96)
    assert sum(shares.values()) <= 0.5


def test_no_pairs_no_share() -> None:
    assert road_shares(0.5, PAIRS, {"pairs": {}}, {"a": 3}) == {"pairs": {}}
    assert road_shares(0.5, {}, {}, {"a": 3}) == {}


def test_roads_share_by_their_weights() -> None:
    pictures = {"photos": {"a": 90}, "cutouts": {"a": 90}, "pairs": {"a": 400}}
    shares = road_shares(0.4, {"photos": 1, "cutouts": 1, "pairs": 2}, pictures, {"a": 10})
    assert shares == {"photos": {"a": 0.1}, "cutouts": {"a": 0.1}, "pairs": {"a": 0.2}}


def test_a_road_without_pictures_leaves_its_weight_to_the_others_of_its_domain() -> None:
    pictures = {"photos": {"a": 50, "b": 50}, "pairs": {"a": 50}}
    shares = road_shares(0.5, {"photos": 1, "pairs": 1}, pictures, {"a": 10, "b": 10})
    assert shares == {"photos": {"a": 0.125, "b": 0.25}, "pairs": {"a": 0.125}}


def test_a_road_is_cut_where_its_pictures_are_few_and_not_before() -> None:
    """Half of a domain's part is as much as 60 photos may have beside 100 real ones; of 20 pairs only a fifth is."""
    weights, pictures = {"photos": 1, "pairs": 1}, {"photos": {"a": 60}, "pairs": {"a": 20}}
    shares = road_shares(0.5, weights, pictures, {"a": 100})
    assert shares["photos"]["a"] == pytest.approx(0.25)
    assert shares["pairs"]["a"] == pytest.approx(0.1)
    real = 1 - 0.35
    assert all(shares[road]["a"] / pictures[road]["a"] <= real / 100 for road in weights)


def test_a_domain_without_real_pictures_takes_what_its_roads_may_have() -> None:
    assert road_shares(0.5, {"trimaps": 1}, {"trimaps": {"a": 7}}, {"a": 0}) == {"trimaps": {"a": 0.5}}
