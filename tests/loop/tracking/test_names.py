"""docs/tracking.md has every name that a run logs, and none that no run has."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

import lightning
import pytest
import torch

from loop.config.load import load_config
from loop.engine.stage import StageRecord
from loop.runs.gate import RoundWatch
from loop.tracking.entries import RoundEntry
from loop.tracking.gauges import Gauges, learning_rates
from loop.tracking.rounds import RoundMirror
from stylematte.jsonl import read_jsonl

ROOT = Path(__file__).parents[3]


def table(number: int) -> dict[str, str]:
    """Pattern of names -> "Only" column, of a table of the page."""
    page = (ROOT / "docs/tracking.md").read_text().split("| --- | --- | --- |\n")[number + 1]
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| `")]
    found = {name: only.strip() for names, _, only in rows for name in re.findall("`([^`]+)`", names)}
    return {re.sub("DOMAIN|STAGE|SOURCE|NETWORK", "*", name): only for name, only in found.items()}


def held(names: set[str], patterns: dict[str, str]) -> None:
    """Every name has its row, and every row that all runs have has its name."""
    missing = {name for name in names if not any(_fits(name, pattern) for pattern in patterns)}
    assert not missing, f"docs/tracking.md lacks {sorted(missing)}"
    unused = {pattern for pattern, only in patterns.items() if not only and not any(_fits(n, pattern) for n in names)}
    assert not unused, f"docs/tracking.md has {sorted(unused)}, which the run has not"


def _fits(name: str, pattern: str) -> bool:
    """A `*` is one part of a name; only one at the end takes all that follow."""
    deep = pattern.endswith("/*")
    return fnmatchcase(name, pattern) and (deep or name.count("/") == pattern.count("/"))


def test_the_loop_run(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, entries = load_config(tiny_run / "config.yaml", ["tracking.wandb=offline"]), list[RoundEntry]()
    monkeypatch.setattr(RoundMirror, "log", lambda self, *round_: entries.append(self._entry(*round_[:6])))
    for round_ in (0, 1):
        watch = RoundWatch(config, tiny_run, print)
        records = [StageRecord.load(path.parent) for path in (tiny_run / f"rounds/{round_:02d}").rglob("stage.json")]
        watch.finished = [record for record in records if record is not None]
        watch._log(round_, {"accepted": True, "reason": ""})
    row = entries[1].row()
    assert row["animals/against_best_low"] <= row["animals/against_best"] <= row["animals/against_best_high"]
    held({name for entry in entries for name in entry.row()}, table(0))


def test_the_runs_of_fits(tiny_run: Path) -> None:
    rows = [row for path in (tiny_run / "rounds").rglob("metrics.jsonl") for row in read_jsonl(path)]
    beside = {name for row in gauged() for name in row} | {"trainer/global_step"}
    assert beside >= {"lr/network", "speed/steps_per_s", "speed/pictures_per_s"}
    held({name for row in rows for name in row} | beside, table(1))


def gauged() -> list[dict[str, float]]:
    """What the gauges log in four steps of a module of one network, every second one."""
    rows: list[dict[str, float]] = []
    logger = SimpleNamespace(name="mirror", log_metrics=lambda values, step: rows.append({"step": step, **values}))
    place = SimpleNamespace(total_batch_idx=0)
    trainer = SimpleNamespace(fit_loop=place, log_every_n_steps=2, is_global_zero=True, loggers=[logger])
    module = lightning.LightningModule()
    module.network = torch.nn.Linear(2, 2)
    gauges, optimizer = Gauges(batch=8), torch.optim.SGD(module.parameters(), 0.5)
    for place.total_batch_idx in range(4):
        gauges.on_before_optimizer_step(trainer, module, optimizer)
        gauges.on_train_batch_end(trainer, module)
    assert [(row["step"], row["lr/network"]) for row in rows] == [(1, 0.5), (3, 0.5)]
    assert rows[1]["speed/pictures_per_s"] == 8 * rows[1]["speed/steps_per_s"]
    return rows


def test_learning_rates_have_the_networks_names() -> None:
    module = torch.nn.ModuleDict({"G": torch.nn.Linear(2, 2), "D": torch.nn.Linear(2, 2)})
    D = module["D"]
    groups = [{"params": [D.weight], "lr": 0.2}, {"params": [D.bias], "lr": 0.1}]
    assert learning_rates(torch.optim.SGD(module["G"].parameters(), 0.5), module) == {"lr/G": 0.5}
    assert learning_rates(torch.optim.SGD(groups), module) == {"lr/D": 0.2, "lr/D/1": 0.1}
