"""Which matter goes on and which one leaves the run, on planted rounds: never one worse than round 0."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loop.engine.stage import Context
from loop.stages import accept
from stylematte.inference.matter import matter_folder
from stylematte.rounds import best_matter

DOMAINS = ["animals", "portraits"]
PICTURES = 12
FIRST = {"animals": 0.5, "portraits": 0.4}


def plant(run: Path, number: int, sad: dict[str, float]) -> dict[str, Any]:
    """A round whose pictures have this mean SAD, through the gate; its verdict."""
    here = run / "rounds" / f"{number:02d}"
    for stage in ("fit_matter", "evaluate", "accept"):
        (here / stage).mkdir(parents=True)
    (here / "fit_matter/matter.safetensors").write_text(f"round {number}")
    (here / "fit_matter/matter.json").write_text("{}")
    rows = [
        {"id": f"{domain}/{k}", "domain": domain, "kind": "alpha", "SAD": sad[domain] * (1 + (k - 5.5) / 20)}
        for domain in DOMAINS
        for k in range(PICTURES)
    ]
    (here / "evaluate/per_picture.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = {"candidate": here / "fit_matter", "scores": here / "evaluate"}
    if number:
        inputs |= {"best": run / f"rounds/{number - 1:02d}/accept", "first": run / "rounds/00/accept"}
    config = {"round": number, "domains": DOMAINS, "rules": {"margin": 0.05, "resamples": 100}}
    accept.run(Context(inputs, here / "accept", here, config, 0))
    found: dict[str, Any] = json.loads((here / "accept/verdict.json").read_text())
    return found


def planted(run: Path, *changes: tuple[float, float]) -> list[dict[str, Any]]:
    """Round 0, then rounds whose SAD in animals and portraits is that of round 0 times 1 + change."""
    run.mkdir(exist_ok=True)
    (run / "config.yaml").write_text("run: {rounds: 99}\ndata: {domains: {animals: animal, portraits: portrait}}\n")
    factors = [dict(zip(DOMAINS, pair, strict=True)) for pair in ((0.0, 0.0), *changes)]
    return [
        plant(run, number, {domain: FIRST[domain] * (1 + factor[domain]) for domain in DOMAINS})
        for number, factor in enumerate(factors)
    ]


def leaves(run: Path) -> str:
    """What the weights say that `matte`, `export` and `stylematte.load` take from the run."""
    return (matter_folder(run) / "matter.safetensors").read_text()


def test_a_round_within_the_margin_goes_on_and_does_not_leave(tmp_path: Path) -> None:
    verdicts = planted(tmp_path, (0.03, 0.03), (0.04, 0.04))
    assert [(v["accepted_round"], v["best_round"]) for v in verdicts] == [(0, 0), (1, 0), (2, 0)]
    assert (tmp_path / "rounds/02/accept/matter.safetensors").read_text() == "round 2"
    assert leaves(tmp_path) == "round 0"


def test_the_best_round_leaves_though_a_later_one_was_accepted(tmp_path: Path) -> None:
    verdicts = planted(tmp_path, (-0.10, -0.10), (-0.08, -0.08))
    assert [(v["accepted_round"], v["best_round"]) for v in verdicts] == [(0, 0), (1, 1), (2, 1)]
    assert verdicts[2]["best_relative_SAD"] == pytest.approx(0.9)
    assert leaves(tmp_path) == "round 1"


def test_a_gain_in_one_domain_does_not_pay_for_a_loss_in_another(tmp_path: Path) -> None:
    verdicts = planted(tmp_path, (-0.30, 0.02), (-0.05, 0.0))
    assert verdicts[1]["accepted"]
    assert verdicts[1]["best_round"] == 0
    # Round 2 gives animals back and is refused, so it does not count either.
    assert not verdicts[2]["accepted"]
    assert leaves(tmp_path) == "round 0"


def test_a_fit_that_diverged_changes_nothing(tmp_path: Path) -> None:
    planted(tmp_path, (-0.10, -0.10))
    here = tmp_path / "rounds/02"
    for stage in ("fit_matter", "evaluate", "accept"):
        (here / stage).mkdir(parents=True)
    (here / "fit_matter/stopped.json").write_text('{"reason": "loss is NaN"}')
    (here / "evaluate/per_picture.jsonl").write_text("")
    inputs = {"candidate": here / "fit_matter", "scores": here / "evaluate"}
    inputs |= {"best": tmp_path / "rounds/01/accept", "first": tmp_path / "rounds/00/accept"}
    metrics = accept.run(Context(inputs, here / "accept", here, {"round": 2, "domains": DOMAINS, "rules": {}}, 0))
    assert (metrics["accepted"], metrics["best_round"]) == (False, 1)
    assert leaves(tmp_path) == "round 1"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_rounds_are_like_the_last_one_out_is_never_worse_than_round_0(tmp_path: Path, seed: int) -> None:
    """And of the accepted rounds that are not worse in any domain none is better on the mean."""
    chance = random.Random(seed)
    changes = [(chance.gauss(0, 0.06), chance.gauss(0, 0.06)) for _ in range(6)]
    verdicts = planted(tmp_path, *changes)
    best = best_matter(tmp_path)
    assert best is not None
    out = int(best.parent.name)
    relative = dict(enumerate([(0.0, 0.0), *changes]))
    assert all(change <= 0 for change in relative[out])
    eligible = [n for n, v in enumerate(verdicts) if v["accepted"] and all(c <= 1e-12 for c in relative[n])]
    assert sum(relative[out]) == pytest.approx(min(sum(relative[n]) for n in eligible))
    assert leaves(tmp_path) == f"round {out}"


def test_a_verdict_of_an_earlier_version_names_no_best_round(tmp_path: Path) -> None:
    planted(tmp_path, (0.03, 0.03))
    verdict = tmp_path / "rounds/01/accept/verdict.json"
    verdict.write_text(json.dumps({"accepted": True, "accepted_round": 1}))
    assert leaves(tmp_path) == "round 1"
    verdict.write_text("[")
    assert leaves(tmp_path) == "round 1"
