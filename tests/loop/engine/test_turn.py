"""The loop turns, end to end, at tiny size; and every verb works on what it left."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loop.cli.main import main
from loop.config.load import load_config
from loop.engine.execute import freshness
from stylematte.imagefile import read_alpha, read_rgb, read_rgba, write_rgb
from tests.loop.planned import planned


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everything_is_fresh_afterwards_and_nothing_else_is_left(tiny_run: Path) -> None:
    config = load_config(tiny_run / "config.yaml")
    assert {state for _, state, _ in freshness(tiny_run, planned(config))} == {"fresh"}
    assert not [path for path in (tiny_run / "rounds").rglob(".*")]


def test_the_same_command_again_does_nothing(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tiny_run / "rounds").rglob("*")}
    assert main(["run", str(tiny_run)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tiny_run / "rounds").rglob("*")} == before
    assert "nothing" not in capsys.readouterr().err


def test_held_out_pictures_reach_neither_the_generator_nor_the_fit(tiny_run: Path) -> None:
    prepared = rows(tiny_run / "rounds/00/prepare/index.jsonl")
    held_out = {row["id"] for row in prepared if row["split"] == "heldout"}
    assert len(held_out) == 8
    for domain in ("portraits", "animals"):
        assert not held_out & {row["id"] for row in rows(tiny_run / f"rounds/01/{domain}/label/index.jsonl")}
    scored = {row["id"] for row in rows(tiny_run / "rounds/01/evaluate/per_picture.jsonl")}
    assert scored == held_out


def test_every_candidate_has_a_seed_a_psi_and_a_decision(tiny_run: Path) -> None:
    for domain in ("portraits", "animals"):
        found = rows(tiny_run / f"rounds/01/{domain}/select/index.jsonl")
        assert len(found) == 12
        assert len({row["seed"] for row in found}) == 12
        assert len({row["psi"] for row in found}) == 12
        assert all(0.5 <= row["psi"] <= 1 for row in found)
        assert all((row["reason"] is None) == row["kept"] for row in found)


def test_the_floors_are_what_they_say(tiny_run: Path) -> None:
    row = rows(tiny_run / "rounds/00/evaluate/per_picture.jsonl")[0]
    prepared = {r["id"]: r for r in rows(tiny_run / "rounds/00/prepare/index.jsonl")}
    alpha = read_alpha(tiny_run / "rounds/00/prepare" / prepared[row["id"]]["alpha"])
    assert row["zero_SAD"] == pytest.approx(alpha.sum().item() / 1000, rel=1e-5)
    predicted = read_alpha(tiny_run / "rounds/00/evaluate" / row["prediction"])
    assert row["SAD"] == pytest.approx((predicted - alpha).abs().sum().item() / 1000, rel=1e-5)


def test_the_accepted_matter_is_the_candidate_or_the_previous_one(tiny_run: Path) -> None:
    verdict = json.loads((tiny_run / "rounds/01/accept/verdict.json").read_text())
    source = "01/fit_matter" if verdict["accepted"] else "00/accept"
    went_on = load_file(tiny_run / "rounds/01/accept/matter.safetensors")
    expected = load_file(tiny_run / "rounds" / source / "matter.safetensors")
    assert all(torch.equal(went_on[name], expected[name]) for name in expected)
    assert verdict["reason"]


@pytest.mark.parametrize("words", [["plan", "RUN"], ["status", "RUN"], ["report", "RUN"], ["doctor"]])
def test_tables_also_come_as_json(tiny_run: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(tiny_run) if word == "RUN" else word for word in words]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(words) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 4


def test_matte_score_sample_and_export(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_rgb(photos / "wide.png", torch.rand(3, 40, 90, generator=torch.Generator().manual_seed(0)))
    (photos / "broken.jpg").write_bytes(b"not a picture")
    exported = tmp_path / "exported"
    assert main(["export", str(tiny_run), "-o", str(exported)]) == 0
    card = (exported / "README.md").read_text()
    assert "| round |" in card.replace("| Round |", "| round |")
    for matter in (tiny_run, exported):
        out = tmp_path / f"matted-{matter.name}"
        assert main(["matte", str(photos), "-o", str(out), "--matter", str(matter)]) == 3  # a photo was left out
        assert read_alpha(out / "wide_alpha.png").shape == (1, 40, 90)
        assert read_rgba(out / "wide_cutout.png").shape == (4, 40, 90)
        assert "broken.jpg" in capsys.readouterr().err
    assert main(["score", str(tmp_path / "matted-tiny"), str(tmp_path / "matted-exported"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean"]["SAD"] == 0
    for source in (tiny_run, exported):
        assert main(["sample", str(source), "-o", str(tmp_path / source.name), "--seeds", "1-3,7"]) == 0
    first, second = ((tmp_path / name / "animals/000007.png").read_bytes() for name in ("tiny", "exported"))
    assert first == second
    assert read_rgb(tmp_path / "tiny/animals/sheet.png").shape[0] == 3
    assert main(["export", str(tiny_run), "-o", str(exported)]) == 3  # nothing is overwritten
    hub = tmp_path / "hub"
    assert main(["export", str(tiny_run), "-o", str(hub), "--format", "hub"]) == 0
    assert (hub / "model.safetensors").read_bytes() == (exported / "matter/matter.safetensors").read_bytes()
    table = [line for line in (hub / "README.md").read_text().splitlines() if line.startswith("|")]
    assert table == [line for line in card.splitlines() if line.startswith("|")] != []
    assert main(["sample", str(hub), "-o", str(tmp_path / "hub-samples"), "--seeds", "7"]) == 0
    assert (tmp_path / "hub-samples/animals/000007.png").read_bytes() == first
