"""The page: every section in one file, at any moment of a run, whatever is missing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from loop.cli.round_table import print_round_table
from loop.report.build import SECTIONS, build_report
from tests.loop.report.conftest import words


class Balance(HTMLParser):
    """Fails on a tag that is closed by another one; collects what the page points at."""

    VOID = frozenset({"meta", "img", "br", "line", "circle", "polyline", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.targets += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.anchors |= {value for name, value in attrs if name == "id"}

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_importing_the_report_imports_no_torch_and_no_numpy():
    modules = "loop.report.build, loop.report.table"
    code = f"import sys, {modules}; assert not {{'torch', 'numpy', 'PIL', 'rich'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_a_whole_run_shows_every_section_in_one_file(whole):
    page = build_report(whole)
    text = page.read_text()
    tags = Balance(text)
    assert page == whole / "report.html"
    assert set(SECTIONS) - {"enhanced"} <= tags.anchors  # nothing was enhanced in this run
    assert "http" not in text
    assert "url(" not in text
    assert re.findall("<script[^>]*>", text) == ["<script>"]  # its own, which loads nothing
    assert not re.search(r"fetch\(|XMLHttp|import\(", text)
    for target in tags.targets:
        assert target.startswith("data:image/") or target[1:] in tags.anchors, target[:60]
    sheets, probes, mattes = 2 * 2 * 2, 3, 2 * (2 * 4 * 4)  # of two rounds: two sheets a domain, four pictures a card
    assert text.count("data:image/png;base64,") == sheets + probes + mattes


def test_the_page_says_what_happened(whole):
    text = words(build_report(whole).read_text())
    for said in (
        "best matter is that of <b>round 1</b>. Refused: round 2. No control: nothing says that the pairs helped;",
        "all-zero matte",
        "best constant matte",
        "disagreement 2, body 1",
        "confidence 3",
        "loss/D is NaN at step 120",
        "the previous generator is selected, this round&#39;s fit is at 7.250",
        "torn.jpg: truncated &lt;file&gt;",
        "Portraits may be worse than the best so far",
        "−13.0 % against round 0 (interval −29.0 % to +2.0 %)",
        "margin: 0.05",
        "tiny &amp; &lt;run&gt;",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    "missing",
    [
        "rounds/02/accept",
        "rounds/02",
        "rounds/01/portraits",
        "rounds/00/prepare",
        "rounds/00/evaluate/prediction",
        "config.yaml",
        "rounds",
    ],
)
def test_any_part_may_be_missing(run, missing):
    target = run / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    Balance(build_report(run).read_text())
    print_round_table(run)


def test_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "rounds").mkdir()
    (tmp_path / "config.yaml").write_text("run:\n  rounds: 2\n")
    text = build_report(tmp_path).read_text()
    assert "The run is in progress, 0 of 3 rounds decided. No matter has been accepted yet." in text


def test_a_round_under_way_is_marked(run):
    shutil.rmtree(run / "rounds/02/accept")
    text = build_report(run).read_text()
    assert "in progress, 2 of 3 rounds decided" in text
    assert "not decided yet" in text


def test_broken_files_are_gaps(run):
    (run / "rounds/01/accept/verdict.json").write_text("{")
    (run / "rounds/02/evaluate/probes.png").write_bytes(b"not a picture")
    (run / "rounds/02/evaluate/stage.json").write_text("[]")
    (run / "config.yaml").write_text("run: [")
    Balance(build_report(run).read_text())


def test_a_refused_fit_without_scores_and_infinite_intervals(run):
    record = json.loads((run / "rounds/02/evaluate/stage.json").read_text()) | {"metrics": {}}
    (run / "rounds/02/evaluate/stage.json").write_text(json.dumps(record))
    (run / "rounds/02/evaluate/per_picture.jsonl").write_text("")
    (run / "rounds/02/accept/verdict.json").write_text(
        '{"accepted": false, "reason": "the fit stopped", "accepted_round": 1, "intervals": {"animals": '
        '{"vs_best": {"relative_change": Infinity, "low": 0.0, "high": Infinity, "n": 3}}}}'
    )
    text = build_report(run).read_text()
    assert "The fit stopped" in text
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]+", "", text).lower().replace("is nan at step", ""))


def test_large_sheets_are_made_small(run):
    from PIL import Image

    Image.effect_noise((3000, 800), 60).convert("RGB").save(run / "rounds/01/portraits/select_generator/sheet.png")
    assert build_report(run).stat().st_size < 3_000_000
    assert "data:image/webp;base64," in (run / "report.html").read_text()
