"""What the service shows of a run, and what it does to one: reviews, a rollback, metrics, a photo's matte."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from loop.config.reviews import read_reviews
from loop.engine.audit import read_audit
from loop.runs.status import outlook
from loop.serve.settings import Settings
from stylematte.jsonl import read_jsonl
from tests.loop.serve.conftest import BEARER, TOKEN, asked


def photo(side: int, kind: str = "PNG") -> bytes:
    memory = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(memory, kind)
    return memory.getvalue()


def test_a_run_is_shown_as_its_records_say(reader: TestClient, tiny_run: Path) -> None:
    (listed,) = reader.get("/api/runs").json()["runs"]
    assert (listed["run"], listed["state"], listed["finished"], listed["total"]) == ("tiny", "finished", 19, 19)
    found = reader.get("/api/runs/tiny").json()
    verdict = json.loads((tiny_run / "rounds/01/accept/verdict.json").read_text())
    assert [(each["round"], each["accepted"]) for each in found["rounds"]] == [(0, True), (1, verdict["accepted"])]
    assert (found["best_round"], found["rounds"][1]["reason"]) == (verdict["best_round"], verdict["reason"])
    assert {step["state"] for step in found["steps"]} == {"fresh"}
    live = reader.get("/api/runs/tiny/live").json()
    assert (live["state"], live["pending"], live["version"]) == ("finished", None, found["version"])


def test_the_parts_are_those_of_the_report(reader: TestClient, tiny_run: Path) -> None:
    report = (tiny_run / "report.html").read_text()
    listed = reader.get("/api/runs/tiny/parts").json()["parts"]
    assert [part["anchor"] for part in listed][:3] == ["tiles", "needs", "rounds"]
    assert {"pairs", "curves", "provenance", "config"} <= {part["anchor"] for part in listed}
    for part in listed:
        found = reader.get(f"/api/runs/tiny/parts/{part['anchor']}", params={"v": part["digest"]})
        assert found.text in report
        assert "immutable" in found.headers["cache-control"]
    listed_before_a_rollback = reader.get("/api/runs/tiny/parts/gone", params={"v": "0123456789abcdef"})
    assert (listed_before_a_rollback.status_code, listed_before_a_rollback.text) == (204, "")
    assert reader.get("/api/runs/tiny/parts/gone").status_code == 404


def test_prometheus_reads_the_runs(reader: TestClient) -> None:
    lines = reader.get("/metrics").text.splitlines()
    assert 'stylematte_run_state{run="tiny",state="finished"} 1.0' in lines
    assert 'stylematte_run_steps_total{run="tiny"} 19.0' in lines
    assert 'stylematte_queue_jobs{state="waiting"} 0.0' in lines


def test_pairs_come_by_the_page_with_their_pictures(reader: TestClient, tiny_run: Path) -> None:
    rows = read_jsonl(tiny_run / "rounds/01/animals/select/index.jsonl")
    asked_for = {"round": 1, "domain": "animals", "offset": 5, "limit": 3}
    page = reader.get("/api/runs/tiny/pairs", params=asked_for).json()
    assert (page["total"], len(page["pairs"])) == (12, 3)
    assert page["counts"] == {"all": 12, "kept": sum(row["kept"] for row in rows), "refused": 0, "reviewed": 0}
    assert page["pairs"][0]["id"] == rows[5]["id"]
    where = {"round": 1, "domain": "animals", "id": rows[5]["id"]}
    for kind, mode in (("cutout", "RGBA"), ("alpha", "RGB")):
        found = reader.get("/api/runs/tiny/pictures", params=where | {"kind": kind, "side": 16})
        with Image.open(io.BytesIO(found.content)) as picture:
            assert (picture.format, picture.size, picture.mode) == ("WEBP", (16, 16), mode)


def test_a_review_is_written_and_honoured_and_taken_back(client: TestClient, runs_dir: Path) -> None:
    run = runs_dir / "tiny"
    row = read_jsonl(run / "rounds/01/portraits/select/index.jsonl")[2]
    body = {"round": 1, "domain": "portraits", "id": row["id"], "decision": "refuse", "reason": "poor alpha"}
    found = client.post("/api/runs/tiny/reviews", json=body, headers={**BEARER, "x-by": "Ada"})
    assert found.json() == {"id": row["id"], "review": {"kept": False, "reason": "poor alpha"}}
    review = read_reviews(run)["01/portraits/select"][row["id"]]
    assert (review.kept, review.reason) == (False, "poor alpha")
    shown = client.get("/api/runs/tiny/pairs", params={"round": 1, "domain": "portraits", "show": "reviewed"}).json()
    assert [pair["id"] for pair in shown["pairs"]] == [row["id"]]
    assert {step.step: step.state for step in outlook(run).steps}["01/portraits/select"] == "stale"
    assert [(line["by"], line["action"]) for line in read_audit(run)] == [("Ada (testclient)", "review: refuse")]
    assert client.post("/api/runs/tiny/reviews", json=body | {"decision": "clear"}, headers=BEARER).status_code == 200
    assert read_reviews(run) == {}
    missing = client.post("/api/runs/tiny/reviews", json=body | {"id": "nobody"}, headers=BEARER)
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no candidate of that id")


def test_steering_says_what_cannot_be_done(client: TestClient, runs_dir: Path) -> None:
    def act(**body: object) -> tuple[int, str]:
        found = client.post("/api/runs/tiny/actions", json=body, headers=BEARER)
        return found.status_code, found.json()["detail"]

    assert act(action="pause") == (409, "tiny: nothing runs there, so there is nothing to pause")
    assert act(action="rollback") == (409, "rollback: say to which round")
    assert act(action="rollback", round=9) == (409, "tiny: round 9 has no verdict; expected a round that is over")
    assert act(action="rollback", round=0) == (200, "the run is at the end of round 0")
    assert [each["round"] for each in client.get("/api/runs/tiny").json()["rounds"]] == [0]
    assert act(action="start") == (200, "job 1 waits for its turn")
    assert act(action="start") == (409, "tiny: has a job that waits or runs; pause or cancel it first")
    assert client.post("/api/queue/1/cancel", headers=BEARER).status_code == 200
    assert client.post("/api/queue/1/cancel", headers=BEARER).json()["detail"] == "job 1 is over: cancelled"
    assert [row["action"] for row in read_audit(runs_dir / "tiny")] == ["rollback", "rollback", "rollback", "start"]


def test_a_photo_is_matted_in_its_own_process(shown_runs: Path) -> None:
    with asked(Settings(shown_runs, max_pixels=64 * 64, max_photo=30_000)) as client:
        for output, mode in (("rgba", "RGBA"), ("alpha", "L")):
            found = client.post("/matte", params={"output": output}, content=photo(40, "JPEG"))
            assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
            with Image.open(io.BytesIO(found.content)) as picture:
                assert (picture.size, picture.mode) == ((40, 40), mode)
        large = client.post("/matte", content=photo(65))
        assert (large.status_code, large.json()["detail"]) == (
            422,
            "the photo has 65 x 65 pixels, at most 4096 are taken",
        )
        assert client.post("/matte", content=b"no picture").status_code == 422
        assert client.post("/matte", content=b"x" * 30_001).status_code == 413
        assert client.post("/matte", content=photo(40), headers={"origin": "http://evil.example"}).status_code == 403
        assert client.post("/matte", params={"run": "nobody"}, content=photo(40)).status_code == 404


@pytest.mark.slow
def test_a_matting_process_that_died_is_started_again(shown_runs: Path) -> None:
    with asked(Settings(shown_runs)) as client:
        assert client.post("/matte", content=photo(40)).status_code == 200
        process = client.app.state.service.matting.process
        process.kill()
        process.join()
        assert client.post("/matte", content=photo(40)).status_code == 200


@pytest.mark.parametrize("path", ["/api/runs/nobody", "/api/runs/tiny/pairs?round=7&domain=portraits", "/nowhere"])
def test_what_is_not_there_is_said(reader: TestClient, path: str) -> None:
    found = reader.get(path)
    assert found.status_code == 404
    assert found.json()["detail"]


def test_the_description_names_every_route_and_its_refusals(reader: TestClient) -> None:
    paths = reader.get("/openapi.json").json()["paths"]
    assert len(paths) == 17
    for path, methods in paths.items():
        for method, told in methods.items():
            assert told["description"], path
            if method == "post" and path != "/matte":
                assert {"401", "403", "413"} <= set(told["responses"]), path
    assert TOKEN not in reader.get("/openapi.json").text
