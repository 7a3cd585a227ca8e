"""The page in Debian's Chromium: no error, no request, values under the pointer, no sideways scrolling; all figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from loop.report.build import build_report
from tests.browser import Browser
from tests.loop.report.figures import check_figures

CHART = "document.querySelectorAll('#curves svg[data-frame]')[1]"


def test_every_figure_is_that_of_its_record(tiny_run: Path, tmp_path: Path) -> None:
    page = build_report(tiny_run, tmp_path / "page.html").read_text()
    figures, curves = check_figures(tiny_run, page)
    assert figures >= 150
    assert curves >= 30


def test_a_figure_that_is_not_its_records_is_found(tiny_run: Path, tmp_path: Path) -> None:
    page = build_report(tiny_run, tmp_path / "page.html").read_text()
    shown = page.partition('data-key="metrics/portraits/SAD">')[2].partition("<")[0]
    for wrong in (
        page.replace(f'SAD">{shown}<', 'SAD">9.9999<'),
        page.replace("metrics/portraits/SAD", "metrics/animals/SAD"),
    ):
        with pytest.raises(AssertionError):
            check_figures(tiny_run, wrong)


def test_in_the_browser(tiny_run: Path, tmp_path: Path) -> None:
    with Browser() as browser:
        target = build_report(tiny_run, tmp_path / "page.html")
        for dark, width in ((False, 1180), (True, 500)):
            page = browser.open(target, width=width, dark=dark)
            assert page.value("document.documentElement.scrollWidth") == width
            page.value(f"{CHART}.scrollIntoView({{block: 'center'}})")
            x, y = page.value(f"(r => [r.x + r.width * 0.98, r.y + r.height / 2])({CHART}.getBoundingClientRect())")
            page.move(x, y)
            name = page.value(f"{CHART}.querySelector('.ct').textContent")
            file = page.value(f"{CHART}.querySelector('polyline').dataset.file")
            last = json.loads((tiny_run / file).read_text().splitlines()[-1])
            assert page.value("document.querySelector('.tip').innerText").splitlines() == [
                f"step {last['step']}",
                f"round 1: {last[name]:.4g}",
            ]
            page.value(f"{CHART}.focus()")
            page.press("Escape")
            assert page.value("document.querySelectorAll('.tip').length") == 0
            page.press("ArrowLeft")
            assert page.value("document.querySelector('.tip b').textContent") == f"step {last['step']}"
            assert page.errors == []
            assert page.requests == [target.as_uri()]


@pytest.mark.slow
def test_ten_rounds_stay_below_10_mb(tiny_run: Path, tmp_path: Path) -> None:
    """Sheets as large as those of a run of 256 x 256, with detail everywhere, in each of ten rounds."""
    from PIL import Image

    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    noise = Image.effect_noise((208, 104), 90).convert("RGB").resize((2080, 1040), Image.Resampling.BICUBIC)
    for name in ("select_generator/sheet.png", "select/sheet.png"):
        for domain in ("portraits", "animals"):
            noise.save(folder / f"rounds/01/{domain}/{name}")
    noise.save(folder / "rounds/01/evaluate/probes.png")
    for round_ in range(2, 11):
        shutil.copytree(folder / "rounds/01", folder / f"rounds/{round_:02d}")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("rounds: 1\n", "rounds: 10\n", 1))
    assert 3_000_000 < build_report(folder).stat().st_size < 10_000_000
