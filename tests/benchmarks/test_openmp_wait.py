"""The measurement of waiting threads runs: two small fits at once give two rates."""

from benchmarks.openmp_wait import POLICIES, rates


def test_two_fits_at_once() -> None:
    found = rates(processes=2, threads=1, seconds=0.5, policy=POLICIES["passive"])
    assert len(found) == 2
    assert min(found) > 0
