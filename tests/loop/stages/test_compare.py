"""The gain over the control, on planted scores that can be reckoned by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loop.engine.stage import Context
from loop.stages import compare

DOMAINS = ["animals", "portraits"]


def scores(folder: Path, animals: float | None, portraits: float = 0.4) -> Path:
    """Twelve pictures a domain, all with that SAD; animals None: the fit diverged, so there are no scores."""
    folder.mkdir(parents=True)
    means = {} if animals is None else {"animals": animals, "portraits": portraits}
    rows = [{"id": f"{d}/{k}", "domain": d, "kind": "alpha", "SAD": sad} for d, sad in means.items() for k in range(12)]
    (folder / "per_picture.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def compared(
    folder: Path, best: int, loop: list[float | None], control: list[float | None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """gain.json and the metrics. loop: SAD of animals from round 0 on; control: from round 1 on."""
    (folder / "verdict").mkdir(parents=True)
    (folder / "verdict/verdict.json").write_text(json.dumps({"best_round": best}))
    inputs = {"verdict": folder / "verdict"}
    inputs |= {f"loop/{n:02d}": scores(folder / f"loop{n}", sad) for n, sad in enumerate(loop)}
    inputs |= {f"control/{n:02d}": scores(folder / f"control{n}", sad) for n, sad in enumerate(control, start=1)}
    (folder / "out").mkdir()
    config = {"domains": DOMAINS, "confidence": 0.95, "resamples": 200}
    metrics = compare.run(Context(inputs, folder / "out", folder, config, 0))
    return json.loads((folder / "out/gain.json").read_text()), metrics


def test_the_best_round_is_compared_with_the_best_of_the_control(tmp_path: Path) -> None:
    found, metrics = compared(tmp_path, 1, [0.5, 0.36, 0.38], [0.4, 0.45])
    assert (found["best_round"], found["control_round"]) == (1, 1)
    # Equal errors on all pictures: the interval is a point. 0.36 against 0.4, and 0.38 against 0.45.
    animals = found["gain"]["animals"]
    assert [animals[key] for key in ("relative_change", "low", "high")] == pytest.approx([-0.1] * 3)
    assert (animals["mean_new"], animals["mean_best"], animals["n"]) == (pytest.approx(0.36), pytest.approx(0.4), 12)
    assert found["same_round"]["animals"]["relative_change"] == pytest.approx(0.38 / 0.45 - 1)
    assert found["gain"]["portraits"]["relative_change"] == 0
    assert metrics["animals"]["against_control"] == pytest.approx(-0.1)


def test_a_control_that_overfits_is_worth_its_round_0(tmp_path: Path) -> None:
    found, _ = compared(tmp_path, 1, [0.5, 0.45], [0.6])
    assert found["control_round"] == 0
    assert found["gain"]["animals"]["relative_change"] == pytest.approx(-0.1)
    assert found["same_round"]["animals"]["relative_change"] == pytest.approx(-0.25)


def test_a_loop_that_helped_nobody_is_shown_as_a_loss(tmp_path: Path) -> None:
    found, _ = compared(tmp_path, 0, [0.5, 0.55], [0.4])
    assert found["gain"]["animals"]["relative_change"] == pytest.approx(0.25)
    assert found["gain"]["animals"]["low"] > 0


def test_a_fit_that_diverged_is_left_out(tmp_path: Path) -> None:
    of_control, _ = compared(tmp_path / "a", 1, [0.5, 0.45], [None])
    assert (of_control["control_round"], of_control["same_round"]) == (0, {})
    of_loop, _ = compared(tmp_path / "b", 0, [0.5, None], [0.4])
    assert (of_loop["control_round"], of_loop["same_round"]) == (1, {})
    assert of_loop["gain"]["animals"]["relative_change"] == pytest.approx(0.25)
