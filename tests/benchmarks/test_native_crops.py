"""What squares cannot show is learned from crops: a strand one pixel wide in a picture of 1600 x 1600."""

import pytest

from benchmarks.native_crops import strand


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_strand_of_one_pixel_is_learned_by_crops_and_not_by_squares(tmp_path):
    """The same network and as many steps: at most half the SAD in the band, where squares are no better than empty."""
    found = strand(tmp_path)
    assert found["empty"] == 0.256  # 256 rows of one opaque pixel
    assert found["crops"] < 0.5 * found["squares"]
    assert found["crops"] < 0.5 * found["squares-native"]
    assert found["squares"] > 0.95 * found["empty"]
