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
from tests.loop.serve.browser import Browser, find_browser

ROOT = Path(__file__).parents[3]
TOKEN = "a token of tests"
BINARY = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no Chromium here: apt-get install chromium"),
]
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
def browser(tmp_path: Path) -> Iterator[Browser]:
    assert BINARY is not None
    with Browser(BINARY, tmp_path / "profile") as browser:
        yield browser


def submit(browser: Browser, name: str, words: str) -> None:
    browser.wait("document.querySelector('#submit select').options.length > 3")
    fields = {"run": name, "config": "tiny.yaml", "words": words}
    for field, value in fields.items():
        browser.js(f"document.querySelector('#submit [name={field}]').value = {json.dumps(value)}")
    press(browser, "#submit button")


def press(browser: Browser, selector: str) -> None:
    """By keyboard."""
    browser.wait(f"document.querySelector({json.dumps(selector)})?.disabled === false", 300)
    browser.js(f"document.querySelector({json.dumps(selector)}).focus()")
    browser.key("Enter")


def shots(browser: Browser, folder: Path, name: str) -> None:
    """Light, dark, and of a phone, none wider than its window."""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        browser.screenshot(folder / f"{name}-{scheme}.png")
    browser.scheme("light")
    browser.size(390, 844, phone=True)
    browser.js("new Promise((done) => setTimeout(done, 500))")
    assert browser.js("document.documentElement.scrollWidth") <= 390, name
    browser.screenshot(folder / f"{name}-phone.png")
    browser.size(1180, 900)


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


def test_ten_thousand_pairs_stay_smooth(many: int, address: str, browser: Browser) -> None:
    browser.open(f"{address}runs/many/pairs")
    cells = "document.querySelectorAll('#grid .cell').length"
    browser.wait("document.querySelectorAll('#grid .cell img').length >= 12")
    assert browser.js(cells) < 150
    frames = browser.js(
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
    browser.key("End")
    browser.wait("document.getElementById('detail').textContent.startsWith('10000 of 10000 · pair-09999')")
    assert browser.js(cells) < 150
    assert browser.errors == []


def test_a_day_with_the_service(address: str, browser: Browser, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    browser.open(address)
    browser.js("document.getElementById('token').focus()")
    browser.type(TOKEN)
    browser.key("Enter")
    browser.wait("!document.getElementById('unlocked').hidden")
    submit(browser, "first", "run.rounds=1")
    browser.wait("[...document.querySelectorAll('#runs a')].some((link) => link.textContent === 'first')", 300)
    shots(browser, tmp_path, "index")

    browser.open(f"{address}runs/first")
    browser.js("window.neverReloaded = true")
    browser.wait("document.querySelector('#rounds-now [data-round=\"0\"] .tag')?.textContent === 'accepted'", 600)
    press(browser, "[data-action=pause]")
    browser.wait(f"{STATE} === 'paused'", 300)
    assert "paused before 01/" in browser.text()
    press(browser, "[data-action=resume]")
    browser.wait(f"{STATE} === 'running'", 300)
    shots(browser, tmp_path, "run-under-way")
    browser.wait('document.querySelector(\'#rounds-now [data-round="1"] .tag.yes, [data-round="1"] .tag.no\')', 900)
    browser.wait(f"{STATE} === 'finished'", 300)
    assert browser.js("window.neverReloaded")
    browser.wait("document.querySelectorAll('#parts section:not(.wait)').length >= 2")
    shots(browser, tmp_path, "run-finished")

    browser.open(f"{address}runs/first/pairs")
    browser.wait("document.querySelectorAll('#grid .cell img').length === 12")
    browser.key("ArrowRight")
    browser.key("3")
    browser.wait("document.querySelector('#counts').textContent.includes('1 reviewed')")
    shots(browser, tmp_path, "pairs")
    browser.open(f"{address}runs/first")
    press(browser, "[data-action=resume]")
    refused = run / "rounds/01/portraits/select/index.jsonl"
    browser.wait(f"{STATE} === 'running'", 300)
    browser.wait(f"{STATE} === 'finished'", 900)
    by_hand = [row for row in read_jsonl(refused) if row.get("rule") == "review"]
    assert [row["reason"] for row in by_hand] == ["refused by hand: poor alpha"]

    press(browser, "#rollback button")
    browser.wait("document.querySelectorAll('#rounds-now li').length === 1", 300)
    assert read_rollbacks(run) == [0]
    actions = [row["action"] for row in read_audit(run)]
    assert actions == ["pause", "pause", "resume", "review: refuse", "resume", "rollback", "rollback"]

    browser.open(address)
    submit(browser, "second", "run.rounds=0")
    done = "[...document.querySelectorAll('#jobs tr')].some((row) => /second\\s+done/.test(row.innerText))"
    browser.wait(done, 900)
    shots(browser, tmp_path, "index-after")
    assert browser.errors == []
    assert {url for url in browser.urls if not url.startswith((address, "data:", "about:"))} == set()
