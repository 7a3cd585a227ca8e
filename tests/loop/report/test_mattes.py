"""The mattes on the page: the worst and the median ones by their SAD, and the colours of the error."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from loop.report.data import Picture
from loop.report.embed import error_uri
from loop.report.mattes import worst_and_median


def pictures(count: int) -> list[Picture]:
    return [Picture(str(k), "hats", "alpha", k / 10, None, None, None, None) for k in range(count)]


def test_worst_and_median_are_those_of_the_ranking() -> None:
    worst, median = worst_and_median(pictures(40))
    assert [each.id for each in worst] == ["39", "38", "37", "36", "35", "34", "33", "32"]
    assert [each.id for each in median] == ["21", "20", "19", "18"]


def test_no_picture_is_shown_twice() -> None:
    worst, median = worst_and_median(pictures(10))
    assert [each.id for each in [*worst, *median]] == ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert worst_and_median(pictures(3))[1] == []


def test_an_error_of_0_is_black_of_a_half_red_and_of_1_pale(tmp_path: Path) -> None:
    truth, alpha = Image.new("L", (3, 1)), Image.new("L", (3, 1))
    truth.putdata([100, 0, 255])
    alpha.putdata([100, 128, 0])
    truth.save(tmp_path / "truth.png")
    alpha.save(tmp_path / "alpha.png")
    uri = error_uri(tmp_path / "truth.png", tmp_path / "alpha.png", 256)
    assert uri is not None
    error = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
    assert [error.getpixel((x, 0)) for x in (0, 2)] == [(0, 0, 0), (255, 255, 235)]
    assert error.getpixel((1, 0)) == (225, 61, 50)
    Image.new("L", (2, 2)).save(tmp_path / "other.png")
    assert error_uri(tmp_path / "truth.png", tmp_path / "other.png", 256) is None
    assert error_uri(tmp_path / "truth.png", tmp_path / "missing.png", 256) is None
