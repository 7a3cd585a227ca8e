"""The measurement of starts runs, and a forked start takes less than half as long as the first, which imports."""

import pytest

from benchmarks.overhead import one_start
from loop.engine.launchers import forked


@pytest.mark.skipif(
    forked.sys.platform != "linux" or bool(forked.glob("/dev/nvidia[0-9]*")), reason="forks on Linux without a GPU"
)
def test_a_second_start_saves_the_imports() -> None:
    with forked.fork_servers():
        first, second = one_start(fork=True), one_start(fork=True)
    assert 0 < second < first / 2
