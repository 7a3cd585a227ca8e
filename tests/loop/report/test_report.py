"""The report: every section, one file, and a page at any moment of a run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from loop.report.build import HEADERS, SECTIONS, build_report, print_round_table, round_table
from loop.report.charts import Line, Span, _ticks, interval_chart, line_chart
from loop.report.data import read_run
from tests.loop.odd_run import finish, make_run, rows


@pytest.fixture(scope="module")
def whole(tiny_run, tmp_path_factory) -> Path:
    return make_run(tiny_run, tmp_path_factory.mktemp("runs") / "odd & <run>")


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


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
    code = "import loop.report.build, sys; assert not {'torch', 'numpy', 'PIL', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_a_whole_run_shows_every_section_in_one_file(whole):
    page = build_report(whole)
    text = page.read_text()
    tags = Balance(text)
    assert page == whole / "report.html"
    assert set(SECTIONS) <= tags.anchors
    assert "http" not in text
    assert "url(" not in text
    assert "<script" not in text
    for target in tags.targets:
        assert target.startswith("data:image/") or target[1:] in tags.anchors, target[:60]
    assert text.count("data:image/png;base64,") == 2 * 2 * 2 + 3 + 2 * (2 * 4 * 3)  # sheets, probes, worst mattes


def test_the_page_says_what_happened(whole):
    text = build_report(whole).read_text()
    for words in (
        "accepted matter is that of <b>round 1</b>. Refused: round 2.",
        "all-zero matte",
        "best constant matte",
        "disagreement 5, body 5, duplicate 4",
        "confidence 10",
        "loss/D is NaN at step 120",
        "torn.jpg: truncated &lt;file&gt;",
        "Portraits may be worse than the best so far",
        "−13.0 %</b> against round 0 (interval −29.0 % to +2.0 %)",
        "margin: 0.05",
        "odd &amp; &lt;run&gt;",
    ):
        assert words in text, words


def test_round_table_is_plain_data(whole):
    headers, table = round_table(whole)
    assert headers == HEADERS
    assert len(table) == 6
    first, last = (dict(zip(headers, row, strict=True)) for row in (table[0], table[-1]))
    assert (first["round"], first["domain"], first["frechet"], first["pairs_kept"]) == (0, "portraits", None, None)
    assert (last["pairs_kept"], last["pairs_refused"], last["labels_kept"], last["labels_refused"]) == (26, 14, 30, 10)
    assert [row[headers.index("accepted")] for row in table] == [True] * 4 + [False] * 2
    assert [row[headers.index("current")] for row in table] == [False] * 2 + [True] * 2 + [False] * 2
    scores = json.loads((whole / "rounds/02/evaluate/stage.json").read_text())["metrics"]["animals"]
    assert last["SAD"] == scores["SAD"]
    assert json.loads(json.dumps(table)) == table


def test_the_terminal_table_is_whole(whole, capsys):
    print_round_table(whole)
    printed = capsys.readouterr().out
    assert "accepted, current" in printed
    assert "26/40" in printed
    assert "…" not in printed


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
    assert "in progress, 0 of 3 rounds judged. No matter has been accepted yet." in text.replace("run is ", "")
    assert round_table(tmp_path)[1] == []


def test_a_round_under_way_is_marked_and_its_running_fit_is_drawn(run):
    here = run / "rounds" / "02"
    for stage in ("accept", "evaluate", "fit_matter"):
        shutil.rmtree(here / stage)
    rows(here / ".fit_matter.9f3c21ab" / "metrics.jsonl", [{"step": s, "loss/l1": 1 / (s + 1)} for s in range(5)])
    with (here / ".fit_matter.9f3c21ab" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "loss/l')
    text = build_report(run).read_text()
    assert "in progress, 2 of 3 rounds judged" in text
    assert "not judged yet" in text
    assert len(read_run(run).curves["fit_matter"][2]["loss/l1"]) == 5


def test_broken_files_are_gaps(run):
    (run / "rounds/01/accept/verdict.json").write_text("{")
    (run / "rounds/02/evaluate/probes.png").write_bytes(b"not a picture")
    (run / "rounds/02/evaluate/stage.json").write_text("[]")
    (run / "config.yaml").write_text("run: [")
    Balance(build_report(run).read_text())


def test_a_refused_fit_without_scores_and_infinite_intervals(run):
    finish(run / "rounds/02/evaluate", {}, 0.1)
    (run / "rounds/02/evaluate/per_picture.jsonl").write_text("")
    (run / "rounds/02/accept/verdict.json").write_text(
        '{"accepted": false, "reason": "the fit stopped", "accepted_round": 1, "intervals": {"animals": '
        '{"vs_best": {"relative_change": Infinity, "low": 0.0, "high": Infinity, "n": 3}}}}'
    )
    text = build_report(run).read_text()
    assert "The fit stopped" in text
    assert "nan" not in re.sub(r"base64,[^\"]+", "", text).lower().replace("is nan at step", "")


def test_other_folders_are_refused_with_a_cure(tmp_path):
    with pytest.raises(ValueError, match=r"is not a run folder: expected config\.yaml"):
        build_report(tmp_path)


def test_large_sheets_are_made_small(run):
    from PIL import Image

    Image.effect_noise((3000, 800), 60).convert("RGB").save(run / "rounds/01/portraits/select_generator/sheet.png")
    assert build_report(run).stat().st_size < 3_000_000
    assert "data:image/webp;base64," in (run / "report.html").read_text()


def test_chart_geometry():
    chart = line_chart("t", [Line("a", [(0, 0.0), (10, 1.0)], 0)], width=100 + 56, height=100 + 44)
    x0, y0, x1, y1 = map(float, re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', chart).groups())
    assert (x0, x1) == (46, 146)
    assert y1 < y0  # up is more
    assert line_chart("t", [Line("a", [], 0)]) == ""
    assert line_chart("t", [Line("one", [(3, 2.0)], 0)]).count("<circle") == 1
    assert interval_chart("t", [Span("a", -0.1, 0.0, 0.1, 0)], 0.05).count('class="limit"') == 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.3, 0.02), (9, 399), (1e-6, 3e-6), (0, 2)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = _ticks(low, high, 4)
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
