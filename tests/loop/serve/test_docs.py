"""Every command of docs/serve.md, as it stands there: the verbs by the parser, the requests by a service at work."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from loop.cli.main import main, parse
from stylematte.jsonl import read_jsonl
from tests.loop.serve.conftest import TOKEN

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/serve.md").read_text()
REQUESTS = [line for line in PAGE.splitlines() if line.startswith("curl ")]
VERBS = re.findall(r"^ +stylematte (.+)$", PAGE, re.MULTILINE)


def sent(client: TestClient, line: str) -> tuple[int, bytes]:
    """What curl would do."""
    words = shlex.split(line)[1:]
    headers, content, method, url = {}, None, "GET", ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word in ("--json", "--data-binary"):
            content, method = words.pop(0).encode(), "POST"
            headers |= {"content-type": "application/json"} if word == "--json" else {}
        elif word in ("-X", "-o"):
            method = words.pop(0) if word == "-X" else (words.pop(0), method)[1]
        else:
            url = word
    if content == b"@photo.jpg":
        memory = io.BytesIO()
        Image.new("RGB", (32, 24), (200, 90, 40)).save(memory, "JPEG")
        content = memory.getvalue()
    found = client.request(method, url.replace("http://127.0.0.1:8080", ""), headers=headers, content=content)
    return found.status_code, found.content


def test_the_requests(client: TestClient, runs_dir: Path) -> None:
    (runs_dir / "tiny").rename(runs_dir / "quickstart")
    row = read_jsonl(runs_dir / "quickstart/rounds/01/portraits/select/index.jsonl")[0]
    expected = {"/actions": 409, "/api/queue": 201}  # nothing runs that could pause
    for line in REQUESTS:
        status, content = sent(client, line.replace("$STYLEMATTE_TOKEN", TOKEN).replace('"ID"', f'"{row["id"]}"'))
        assert status == next((code for end, code in expected.items() if line.endswith(end)), 200), (line, content)
        assert content.startswith(b"\x89PNG") == ("/matte" in line)
    assert len(REQUESTS) == 10


def test_the_verbs(runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(shlex.split(VERBS[0])).runs == Path("runs")
    (rollback,) = VERBS[1:]
    words = shlex.split(rollback.replace("runs/quickstart 1", f"{runs_dir / 'tiny'} 0"))
    assert main(words) == 0
    assert "is at the end of round 0" in capsys.readouterr().out


def test_without_its_packages_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("fastapi", "jinja2") else True)
    assert main(["serve", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "stylematte: `stylematte serve` needs fastapi, jinja2: pip install 'stylematte[serve]'\n"
    )
