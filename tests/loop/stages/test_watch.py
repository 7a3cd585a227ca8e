"""Planted collapses: each is measured, and stops the run within its round, before the matter is fitted on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from loop.config.load import load_config
from loop.config.schema import WatchConfig
from loop.engine.execute import Event
from loop.engine.record import StageRecord
from loop.engine.stage import Context, StageFailed, Stopped
from loop.engine.step import Step
from loop.pools import read_index, write_index
from loop.runs import gate
from loop.runs.collapse import collapse
from loop.runs.gate import GateStop, RoundWatch
from loop.stages import evaluate, label, synthesize, watch
from stylematte.networks.stylematte import StyleMatte
from stylemattegan.networks.weights import load_all, save_generator
from tests.loop.conftest import TINY

DOMAIN = "portraits"


def context(out: Path, inputs: dict[str, Path], **config: object) -> Context:
    out.mkdir()
    return Context(inputs=inputs, out=out, scratch=out, config=config, seed=0, step_id="w")


def watched(run: Path, generator: Path, folder: Path, psi: tuple[float, float] = (0.5, 1.0)) -> dict[str, float]:
    """What `watch` measures of a generator's pictures at psi."""
    here = run / f"rounds/01/{DOMAIN}"
    drawn = {"round": 1, "domain": DOMAIN, "count": 12, "psi": list(psi), "batch": 4}
    pool = context(folder / "pool", {"generator": generator}, **drawn)
    synthesize.run(pool)
    inputs = {"pool": pool.out, "generator": generator, "labels": here / "label", "pairs": here / "select"}
    return watch.run(context(folder / "watch", inputs | {"features": run / "rounds/00/accept"}, images=2000))


def record(stage: str, metrics: dict) -> StageRecord:
    found = StageRecord("k", stage, f"01/{DOMAIN}/{stage}", 1, {}, 0, {}, "o", metrics, 1.0, "now")
    return StageRecord(**json.loads(json.dumps(found.__dict__)))  # as it is read from the disk


def test_a_healthy_run_does_not_stop(tiny_run: Path) -> None:
    """The fixture ran to its end; every step that is watched has its values, and all are finite."""
    for step in ("watch", "label"):
        found = StageRecord.load(tiny_run / f"rounds/01/{DOMAIN}/{step}")
        assert found is not None
        assert collapse(WatchConfig(), found) is None
    found = StageRecord.load(tiny_run / f"rounds/01/{DOMAIN}/watch")
    assert found.metrics["generated"] == 12
    assert found.metrics["real"] == 14
    assert 0 < found.metrics["spread"] < found.metrics["untruncated_spread"]
    assert {"precision", "recall", "coverage", "frechet_alpha", "frechet_alpha_error", "band"} <= set(found.metrics)


def test_pictures_of_psi_near_a_tenth_trip_it(tiny_run: Path, tmp_path: Path) -> None:
    """They vary about a tenth as much as those of psi 1, so the threshold of a quarter says so."""
    generator = tiny_run / f"rounds/01/{DOMAIN}/select_generator"
    values = watched(tiny_run, generator, tmp_path, (0.08, 0.12))
    assert values["truncated_spread"] == pytest.approx(0.1, abs=0.05)
    line = collapse(WatchConfig(), record("watch", values))
    assert line is not None
    assert "below watch.min_truncated_spread=0.25; widen synthesize.psi" in line


def test_a_generator_stuck_at_its_average_trips_it(tiny_run: Path, tmp_path: Path) -> None:
    """Every z gives w_avg: one picture, which truncation cannot change."""
    G, D, G_ema, meta = load_all(tiny_run / f"rounds/01/{DOMAIN}/select_generator")
    with torch.no_grad():
        for weight in (*G_ema.mapping.parameters(), G_ema.mapping.w_avg):
            weight.zero_()
    save_generator(tmp_path / "stuck", G, D, G_ema, meta)
    values = watched(tiny_run, tmp_path / "stuck", tmp_path)
    assert values["spread"] == pytest.approx(0, abs=1e-4)
    assert "truncated_spread" not in values
    line = collapse(WatchConfig(), record("watch", values))
    assert line is not None
    assert "below watch.min_spread=0.05; fit the generator longer" in line


@pytest.mark.parametrize(
    ("value", "key"), [(1.0, "min_matter_background"), (0.0, "min_matter_foreground"), (0.999, "min_matter_background")]
)
def test_a_matter_that_calls_everything_one_thing_trips_it(
    value: float, key: str, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it labels photos or is scored on held-out pictures."""
    monkeypatch.setattr(StyleMatte, "forward", lambda self, image, *known: torch.full_like(image[:, :1], value))
    data, matter = tiny_run / "rounds/00/prepare", tiny_run / "rounds/00/accept"
    rules = {"min_confidence": 0.0, "min_foreground": 0.0, "max_foreground": 1.0}
    inputs = {"data": data, "matter": matter}
    asked = dict(domain=DOMAIN, size=32, rules=rules, trimaps=False, targets=False, agreement=False)
    labels = label.run(context(tmp_path / "l", inputs, **asked))
    scores = evaluate.run(context(tmp_path / "e", inputs, domains=[DOMAIN]))
    assert labels["foreground"] == pytest.approx(value)
    assert 0.2 < labels["true_foreground"] < 0.8
    assert scores[DOMAIN]["foreground"] == pytest.approx(value, abs=0.002)  # scored in 8 bit
    for stage, metrics in (("label", labels), ("evaluate", scores)):
        line = collapse(WatchConfig(), record(stage, metrics))
        assert line is not None
        assert f"watch.{key}=0.25" in line


def test_every_threshold_can_be_crossed_and_taken_away() -> None:
    """A value beyond each threshold names its key; null lets it pass."""
    watch_values = {"spread": 0.0, "truncated_spread": 0.0, "area_spread": 0.0, "holes": 1.0, "disagreement": 1.0}
    watch_values |= {"precision": 0.0, "recall": 0.0, "coverage": 0.0, "refused": 1.0}
    watch_values |= {name: 1.0 for name in ("area", "width", "soft")}
    watch_values |= {f"real_{name}": 30.0 for name in ("area", "width", "soft")}
    bad_matter = [{"foreground": 0.0, "true_foreground": 0.5}, {"foreground": 1.0, "true_foreground": 0.5}]
    records = [record("watch", watch_values), *(record("label", {**bad, "confidence": 0.0}) for bad in bad_matter)]
    thresholds = WatchConfig(min_precision=0.1, min_recall=0.1, min_coverage=0.1, max_refused=0.9)
    thresholds.max_width_ratio, thresholds.max_soft_ratio = 20.0, 10.0
    keys = [name for name in vars(thresholds) if name != "images"]
    found = set()
    for each in records:
        while line := collapse(thresholds, each):
            key = next(key for key in keys if f" watch.{key}=" in line)
            found.add(key)
            assert line.startswith(each.step)
            setattr(thresholds, key, None)
            assert "\n" not in line
        thresholds = WatchConfig(**{**vars(thresholds), "min_matter_foreground": 0.25, "min_matter_confidence": 0.3})
    assert found == set(keys)
    assert collapse(WatchConfig(), record("select", {"spread": 0.0})) is None


def test_the_loop_stops_before_the_matter_is_fitted_and_says_why(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """psi near .1: the first domain's watch ends the run (exit code 4), and again; without thresholds it goes on."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    fit = run / "rounds/01/fit_matter/stage.json"
    before = fit.read_bytes()
    words = ["run", str(TINY), f"run.dir={run}", "synthesize.psi=[0.08, 0.12]", "launch.ask_above=1e9"]
    for _ in range(2):
        assert main(words) == 4
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "collapse" in line]
        assert "01/portraits/watch: collapse: the spread of the pool over that at psi 1 is 0." in line
        assert line.endswith("watch.min_truncated_spread=null goes on")
        assert fit.read_bytes() == before
    off = [f"watch.min_{name}=null" for name in ("truncated_spread", "spread", "area_spread")]
    assert main([*words, *off]) == 0
    assert fit.read_bytes() != before


def test_a_stop_is_mirrored_with_its_values(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B gets the round as far as it went, and the line; a stop that is read again is not sent again."""
    sent = []
    monkeypatch.setattr(gate.RoundMirror, "log", lambda self, *entry: sent.append(entry))
    found = StageRecord.load(tiny_run / f"rounds/01/{DOMAIN}/watch")
    config = load_config(TINY, ["watch.min_spread=100"])
    for kind in ("done", "fresh"):
        step = Step(f"01/{DOMAIN}/watch", "watch", 1, DOMAIN, {}, {}, 0, False, 1)
        with pytest.raises(GateStop, match=r"below watch\.min_spread=100\.0; fit the generator longer"):
            RoundWatch(config, tiny_run, print)(Event(kind, step, 1, 1, record=found))
    ((round_, flat, verdict, _, stages, _, alert),) = sent
    assert (round_, verdict["accepted"]) == (1, False)
    assert "watch.min_spread" in verdict["reason"]
    assert flat[f"{DOMAIN}/watch/spread"] == found.metrics["spread"]
    assert stages == [found]
    assert (alert.title, alert.text, alert.level) == ("round 1: the loop collapsed", verdict["reason"], "ERROR")


def test_a_failure_is_an_alert_and_a_stop_by_its_user_is_none(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = []
    monkeypatch.setattr(gate.RoundMirror, "alert", lambda self, alert: alerts.append((alert.title, alert.level)))
    watch_ = RoundWatch(load_config(TINY, []), tmp_path, print)
    for error in (StageFailed("01/evaluate failed"), GateStop("2 rounds refused"), gate.Collapsed("x"), Stopped("^C")):
        watch_.failed(error)
    assert alerts == [("the run failed", "ERROR"), ("the run was stopped", "ERROR")]


def test_too_few_pictures_are_not_judged(tiny_run: Path, tmp_path: Path) -> None:
    here = tiny_run / f"rounds/01/{DOMAIN}"
    (tmp_path / "none").mkdir()
    write_index(tmp_path / "none", [])
    inputs = {"pool": tmp_path / "none", "generator": tmp_path / "none", "labels": here / "label"}
    inputs |= {"pairs": tmp_path / "none", "features": tiny_run / "rounds/00/accept"}
    values = watch.run(context(tmp_path / "w", inputs, images=10))
    assert values == {"generated": 0, "real": 10}
    assert len(read_index(here / "label")) == 14
    assert collapse(WatchConfig(), record("watch", values)) is None
