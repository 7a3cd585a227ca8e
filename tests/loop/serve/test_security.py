"""What the service refuses: paths that lead out, writes without the token, other sites, bodies too large or broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from loop.cli.main import main
from loop.serve.folders import Unknown, inside
from loop.serve.settings import Settings, is_loopback
from tests.loop.serve.conftest import BEARER, TOKEN, asked

WRITES = [
    ("/api/runs/tiny/actions", {"action": "resume"}),
    ("/api/runs/tiny/reviews", {"round": 1, "domain": "portraits", "id": "x", "decision": "refuse"}),
    ("/api/queue", {"run": "next", "config": "tiny.yaml"}),
    ("/api/queue/1/cancel", {}),
    ("/api/queue/1/priority", {"priority": 3}),
    ("/api/session", {}),
]
OUTSIDE = [
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "..%5csecret.txt",
    "....//secret.txt",
    "%2fetc%2fpasswd",
    "%00",
    ".serve",
]


def contents(run: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in sorted(run.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leads_out(reader: TestClient, name: str) -> None:
    for path in (
        f"/runs/{name}",
        f"/runs/{name}/report.html",
        f"/runs/tiny/{name}",
        f"/static/{name}",
        f"/api/runs/{name}",
        f"/api/runs/{name}/live",
        f"/api/runs/tiny/parts/{name}",
        f"/api/runs/tiny/pairs?round=1&domain={name}",
        f"/api/runs/tiny/pictures?round=1&domain=portraits&id={name}",
    ):
        found = reader.get(path)
        assert found.status_code in (404, 422), path
        assert "nobody may read" not in found.text


def test_a_file_of_the_run_that_names_a_picture_outside_is_not_believed(client: TestClient, runs_dir: Path) -> None:
    index = runs_dir / "tiny/rounds/01/portraits/synthesize/index.jsonl"
    index.write_text('{"id": "x", "rgba": "../../../../../../secret.txt", "kept": true}\n')
    found = client.get("/api/runs/tiny/pictures?round=1&domain=portraits&id=x")
    assert (found.status_code, found.json()["detail"]) == (404, "a file of the run names a picture outside of it")
    with pytest.raises(Unknown):
        inside(runs_dir / "tiny", runs_dir / "tiny" / ".." / ".." / "secret.txt")


def test_writes_need_the_token(reader: TestClient, shown_runs: Path) -> None:
    before = contents((shown_runs / "tiny").resolve())
    for path, body in WRITES:
        for given in ("", "Bearer wrong", TOKEN, f"Basic {TOKEN}", "Bearer \xe9"):
            found = reader.post(path, json=body, headers={"authorization": given.encode("latin-1")})
            assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
        for name, value in (("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")):
            found = reader.post(path, json=body, headers={**BEARER, name: value})
            assert (found.status_code, found.json()["detail"]) == (403, "refused: the request comes from another site")
    assert contents((shown_runs / "tiny").resolve()) == before
    assert reader.get("/api/queue").json()["jobs"] == []


def test_without_a_token_it_is_read_only(shown_runs: Path) -> None:
    with asked(Settings(shown_runs), "http://localhost") as reader:
        assert reader.get("/api/runs").json()["runs"][0]["run"] == "tiny"
        for path, body in WRITES:
            found = reader.post(path, json=body, headers=BEARER)
            assert found.status_code == 403
            assert "start the service with a token" in found.json()["detail"]


def test_a_name_that_points_at_this_machine_is_not_ours(reader: TestClient) -> None:
    found = reader.get("/api/runs", headers={"host": "evil.example"})
    assert (found.status_code, "unknown host" in found.text) == (421, True)
    assert reader.get("/api/runs", headers={"host": "localhost:8080"}).status_code == 200


def test_bodies_too_large_are_not_read(reader: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield from (b"x" * 65536 for _ in range(17))

    for content in (b"x" * (1 << 20) + b"x", endless()):
        found = reader.post("/api/queue", content=content, headers=BEARER)
        assert found.status_code == 413
        assert found.json()["detail"] == "the body is too large: at most 1048576 bytes are taken here"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"run": NaN, "config": "tiny.yaml"}',
        b'{"run": "x", "config": "tiny.yaml", "priority": 1e999}',
        b'{"run": "x", "config": "tiny.yaml", "priority": ' + b"9" * 5000 + b"}",
        b'{"run": "\\ud800", "config": "tiny.yaml"}',
        b'{"run": "x", "config": "\\ud800"}',
        b'{"run": "../x", "config": "tiny.yaml"}',
        b'{"run": "x", "config": "../../etc/passwd"}',
        b'{"run": "x", "config": "tiny.yaml", "words": ["run.dir=/tmp/x"]}',
        b'{"run": "x", "config": "tiny.yaml", "words": ["nothing"]}',
        b'{"run": "x", "config": "tiny.yaml", "words": ["run.rounds=${oc.env:HOME}"]}',
        b'{"run": "x", "config": "tiny.yaml", "words": ["data.size=-1"]}',
        b'{"run": "x", "config": "tiny.yaml", "more": 1}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_cannot_be_meant_is_refused_in_words(reader: TestClient, content: bytes) -> None:
    found = reader.post("/api/queue", content=content, headers={**BEARER, "content-type": "application/json"})
    assert found.status_code in (400, 422), found.text
    assert found.json()["detail"]
    assert reader.get("/api/queue").json()["jobs"] == []


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000, "\u0663"])
def test_a_length_that_is_none_is_refused(reader: TestClient, length: str) -> None:
    headers = {**BEARER, "content-length": length.encode()}
    assert reader.post("/api/queue", content=b"{}", headers=headers).status_code == 400


def test_every_answer_has_its_headers(reader: TestClient) -> None:
    for path in ("/", "/runs/tiny", "/api/runs", "/nowhere", "/static/run.js"):
        headers = reader.get(path).headers
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"].partition("style-src-attr")[0]
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    report = reader.get("/runs/tiny/report.html").headers["content-security-policy"]
    assert "sandbox allow-scripts" in report
    assert "connect-src" not in report


def test_no_page_has_a_script_or_a_style_of_its_own_nor_anything_from_elsewhere(reader: TestClient) -> None:
    for path in ("/", "/login", "/runs/tiny", "/runs/tiny/pairs"):
        text = reader.get(path).text
        assert not re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|style=", text)
        assert all(url.startswith("/") or url.startswith("#") for url in re.findall(r'(?:src|href)="([^"]*)"', text))


@pytest.fixture
def wide(shown_runs: Path) -> Iterator[TestClient]:
    with asked(Settings(shown_runs, host="0.0.0.0", token=TOKEN), "http://gpu.example") as it:
        yield it


def test_where_others_can_connect_reading_needs_the_token(wide: TestClient) -> None:
    assert wide.get("/api/runs").status_code == 401
    assert wide.get("/metrics").status_code == 401
    found = wide.get("/", headers={"accept": "text/html"})
    assert (found.status_code, found.headers["location"]) == (303, "/login")
    assert wide.get("/login").status_code == wide.get("/healthz").status_code == 200
    assert wide.get("/api/runs", headers=BEARER).status_code == 200
    cookie = wide.post("/api/session", headers=BEARER).headers["set-cookie"]
    assert "HttpOnly; SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert wide.get("/api/runs").status_code == 200  # by the cookie
    assert wide.post("/api/queue/1/cancel").status_code == 401  # which is not enough to write


def test_it_does_not_listen_wider_without_a_token(
    shown_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STYLEMATTE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid"):
        assert main(["serve", str(shown_runs), "--host", host, "--port", "0"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines == [
            f"stylematte: --host {host}: other machines could connect, so a token is needed: set STYLEMATTE_TOKEN or "
            "give --token-file FILE"
        ]
    monkeypatch.setenv("STYLEMATTE_TOKEN", "short")
    assert main(["serve", str(shown_runs)]) == 2
    assert "the token has 5 characters, expected 8 or more" in capsys.readouterr().err
    assert main(["serve", str(shown_runs / "none")]) == 3
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8")] == [True] * 4
