"""The pairs on the page: every rule has its turn, kept ones by disagreement, pictures from where they really lie."""

from __future__ import annotations

import base64
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from loop.report.build import build_report
from loop.report.embed import cutout_uris
from loop.report.pairs import SHOWN, candidates
from loop.report.read import read_run
from tests.loop.report.conftest import words, write_rows


@pytest.fixture
def judged(run: Path) -> Path:
    """Of round 2's portraits 20 kept pairs, 30 that disagree and one torn one; the pool is that of `synthesize`."""
    here = run / "rounds/02/portraits"
    kept = [{"kept": True, "disagreement": k / 1000, "rgba": f"rgba/{k}.png", "id": f"k{k}"} for k in range(20)]
    no = [
        {"kept": False, "rule": "disagreement", "reason": f"too far: {k}", "rgba": f"rgba/{100 + k}.png", "id": f"r{k}"}
        for k in range(30)
    ]
    torn = {"kept": False, "rule": "body", "reason": "torn <in two>", "rgba": "rgba/200.png", "id": "torn"}
    write_rows(here / "select/index.jsonl", [*reversed(kept), *no, torn])
    for stage, name, alpha in (("select", "0.png", 255), ("synthesize", "200.png", 51)):
        Image.new("RGBA", (32, 32), (255, 0, 0, alpha)).save(here / stage / "rgba" / name)
    return run


def test_kept_ones_are_spread_and_every_rule_has_its_turn(judged: Path) -> None:
    run = read_run(judged)
    kept, refused = candidates(run, run.rounds[2], "portraits")
    assert [each.id for each in kept] == ["k0", "k4", "k8", "k11", "k15", "k19"]
    assert [each.id for each in refused] == ["r0", "torn", "r1", "r2", "r3", "r4"]
    assert len(kept) == len(refused) == SHOWN
    assert kept[0].rgba == judged / "rounds/02/portraits/select/rgba/0.png"
    assert refused[1].rgba == judged / "rounds/02/portraits/synthesize/rgba/200.png"


def test_the_page_shows_them_with_their_reason(judged: Path) -> None:
    text = words(build_report(judged).read_text())
    assert "torn &lt;in two&gt;" in text
    assert "round 2: 20 kept of 51" in text
    assert '<span class="tag no">refused</span> 6 of 31' in text
    assert 'alt="alpha"' in text


def test_a_cutout_is_its_picture_on_a_checkerboard_and_its_alpha(judged: Path, tmp_path: Path) -> None:
    file = judged / "rounds/02/portraits/synthesize/rgba/200.png"
    uris = cutout_uris(file, 160)
    assert uris is not None
    shown, alpha = (Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris)
    assert alpha.convert("L").getpixel((16, 16)) == pytest.approx(51, abs=2)
    red, green, _ = shown.convert("RGB").getpixel((4, 4))
    assert (red, green) == (pytest.approx(0.2 * 255 + 0.8 * 205, abs=4), pytest.approx(0.8 * 205, abs=4))
    with tarfile.open(tmp_path / "000000.tar", "w") as tar:
        tar.add(file, "one.png")
    assert cutout_uris(tmp_path / "000000.tar/one.png", 160) == uris
    assert cutout_uris(tmp_path / "000000.tar/two.png", 160) is None
