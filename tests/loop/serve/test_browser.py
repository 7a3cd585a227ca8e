"""A person's day with the service in a real browser: a round goes by without reload, a pair is refused by keyboard, the
run is paused, resumed and rolled back, a second run is submitted. Screenshots lie in the test's folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.config.rollbacks import read_rollbacks
from loop.engine.audit import read_audit
from stylematte.jsonl import read_jsonl
from tests.browser import Browser, Page

ROOT = Path(__file__).parents[3]
TOKEN = "a token of tests"
pytestmark = pytest.mark.slow
STATE = "document.getElementById('state').textContent"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a service over an empty folder, with a token."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "loop", "serve", str(tmp_path / "runs"), "--port", "0", "--devices", "cpu"]
    environment = {**os.environ, "STYLEMATTE_TOKEN": TOKEN}
    service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        yield service.stdout.readline().split(" at ")[1].split(" ")[0]
    finally:
        service.terminate()
        service.communicate(timeout=60)


@pytest.fixture
def page() -> Iterator[Page]:
    with Browser() as browser:
        yield browser.open("about:blank")


def submit(page: Page, name: str, words: str) -> None:
    page.until("document.querySelector('#submit select').options.length > 3")
    fields = {"run": name, "config": "tiny.yaml", "words": words}
    for field, value in fields.items():
        page.value(f"document.querySelector('#submit [name={field}]').value = {json.dumps(value)}")
    press(page, "#submit button")


def press(page: Page, selector: str) -> None:
    """By keyboard."""
    page.until(f"document.querySelector({json.dumps(selector)})?.disabled === false", 300)
    page.value(f"document.querySelector({json.dumps(selector)}).focus()")
    page.press("Enter")


def shots(page: Page, folder: Path, name: str) -> None:
    """Light, dark, and of a phone, none wider than its window."""
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        page.screenshot(folder / f"{name}-{scheme}.png", whole=False)
    page.scheme("light")
    page.size(390, 844, phone=True)
    page.value("new Promise((done) => setTimeout(done, 500))")
    assert page.value("document.documentElement.scrollWidth") <= 390, name
    page.screenshot(folder / f"{name}-phone.png", whole=False)
    page.size(1180, 900)


@pytest.fixture
def many(tiny_run: Path, tmp_path: Path) -> int:
    """10,000 pairs of portraits in runs/many, of a dozen pictures."""
    run = shutil.copytree(tiny_run, tmp_path / "runs" / "many")
    for stage in ("synthesize", "select"):
        index = run / "rounds/01/portraits" / stage / "index.jsonl"
        rows = read_jsonl(index)
        grown = [rows[number % len(rows)] | {"id": f"pair-{number:05d}"} for number in range(10_000)]
        index.write_text("".join(json.dumps(row) + "\n" for row in grown))
    return 10_000


def test_ten_thousand_pairs_stay_smooth(many: int, address: str, page: Page) -> None:
    page.go(f"{address}runs/many/pairs")
    cells = "document.querySelectorAll('#grid .cell').length"
    page.until("document.querySelectorAll('#grid .cell img').length >= 12")
    assert page.value(cells) < 150
    frames = page.value(
        """new Promise((done) => {
            const grid = document.getElementById("grid"), frames = [], most = [];
            let last = performance.now(), turn = 0;
            function step(now) {
                frames.push(now - last);
                last = now;
                most.push(grid.querySelectorAll(".cell").length);
                grid.scrollTop = (grid.scrollHeight * turn) / 120;
                if ((turn += 1) <= 120) requestAnimationFrame(step);
                else done([frames.sort((a, b) => a - b), Math.max(...most)]);
            }
            requestAnimationFrame(step);
        })"""
    )
    print(f"frames of a scroll through {many} pairs: median {frames[0][60]:.0f} ms, worst {frames[0][-1]:.0f} ms")
    assert frames[1] < 200  # cells in the page, whatever is scrolled to
    page.press("End")
    page.until("document.getElementById('detail').textContent.startsWith('10000 of 10000 · pair-09999')")
    assert page.value(cells) < 150
    assert page.errors == []


def test_a_day_with_the_service(address: str, page: Page, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    page.go(address)
    page.value("document.getElementById('token').focus()")
    page.type(TOKEN)
    page.press("Enter")
    page.until("!document.getElementById('unlocked').hidden")
    submit(page, "first", "run.rounds=1")
    page.until("[...document.querySelectorAll('#runs a')].some((link) => link.textContent === 'first')", 300)
    shots(page, tmp_path, "index")

    page.go(f"{address}runs/first")
    page.value("window.neverReloaded = true")
    page.until("document.querySelector('#rounds-now [data-round=\"0\"] .tag')?.textContent === 'accepted'", 600)
    press(page, "[data-action=pause]")
    page.until(f"{STATE} === 'paused'", 300)
    assert "paused before 01/" in page.text()
    press(page, "[data-action=resume]")
    page.until(f"{STATE} === 'running'", 300)
    shots(page, tmp_path, "run-under-way")
    page.until('document.querySelector(\'#rounds-now [data-round="1"] .tag.yes, [data-round="1"] .tag.no\')', 900)
    page.until(f"{STATE} === 'finished'", 300)
    assert page.value("window.neverReloaded")
    page.until("document.querySelectorAll('#parts section:not(.wait)').length >= 2")
    shots(page, tmp_path, "run-finished")

    page.go(f"{address}runs/first/pairs")
    page.until("document.querySelectorAll('#grid .cell img').length === 12")
    page.press("ArrowRight")
    page.press("3")
    page.until("document.querySelector('#counts').textContent.includes('1 reviewed')")
    shots(page, tmp_path, "pairs")
    page.go(f"{address}runs/first")
    press(page, "[data-action=resume]")
    refused = run / "rounds/01/portraits/select/index.jsonl"
    page.until(f"{STATE} === 'running'", 300)
    page.until(f"{STATE} === 'finished'", 900)
    by_hand = [row for row in read_jsonl(refused) if row.get("rule") == "review"]
    assert [row["reason"] for row in by_hand] == ["refused by hand: poor alpha"]

    press(page, "#rollback button")
    page.until("document.querySelectorAll('#rounds-now li').length === 1", 300)
    assert read_rollbacks(run) == [0]
    actions = [row["action"] for row in read_audit(run)]
    assert actions == ["pause", "pause", "resume", "review: refuse", "resume", "rollback", "rollback"]

    page.go(address)
    submit(page, "second", "run.rounds=0")
    done = "[...document.querySelectorAll('#jobs tr')].some((row) => /second\\s+done/.test(row.innerText))"
    page.until(done, 900)
    shots(page, tmp_path, "index-after")
    assert page.errors == []
    assert {url for url in page.requests if not url.startswith((address, "data:", "about:"))} == set()
