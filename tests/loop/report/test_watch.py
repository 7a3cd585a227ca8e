"""The report's table of the collapse watch: a row for each watched round and domain, its numbers from the records."""

from __future__ import annotations

import json
import re

from loop.report.formats import num
from loop.report.read import read_run
from loop.report.watch import HEADS, watch_section
from tests.loop.report.conftest import words


def test_a_row_for_each_round_and_domain_with_its_numbers(run):
    here = run / "rounds/02/animals"
    watched, labelled = (
        json.loads((here / f"{name}/stage.json").read_text())["metrics"] for name in ("watch", "label")
    )
    section = words(watch_section(read_run(run)))
    rows = re.findall(r'<td class="r">(\d)</td><td>(\w+)</td>(.*?)</tr>', section)
    assert [(number, domain) for number, domain, _ in rows] == [
        (str(number), domain) for number in (1, 2) for domain in ("portraits", "animals")
    ]
    cells = dict(zip(HEADS, re.findall(r'<td class="n">(.*?)</td>', rows[-1][2]), strict=True))
    assert cells["Spread"] == num(watched["spread"])
    assert cells["Width"] == f"{num(watched['width'])} / {num(watched['real_width'])}"
    assert cells["Foreground"] == f"{num(labelled['foreground'])} / {num(labelled['true_foreground'])}"


def test_what_was_not_measured_is_a_dash_and_without_rounds_there_is_no_table(run):
    file = run / "rounds/02/animals/watch/stage.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"metrics": {"generated": 0, "real": 14}}))
    last = words(watch_section(read_run(run))).split("<tr>")[-1]
    assert last.count(' class="n">–</td>') == 7
    (run / "rounds/01").rename(run / "gone")
    (run / "rounds/02").rename(run / "too")
    assert watch_section(read_run(run)) == ""
