"""The sweep of docs/tracking.md: the agent's words are overrides, the loop run is the trial, fits are none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loop.cli import run as command
from loop.config.load import load_config
from loop.tracking.loop_id import loop_id
from tests.loop.tracking.replay import ROOT, environment
from tests.loop.tracking.wandb_server import RecordingServer

TRIAL = {"WANDB_SWEEP_ID": "sweep7", "WANDB_RUN_ID": "trial3"}
WRITE = """
import sys
from pathlib import Path
from loop.config.schema import Config, WandbMode
from loop.tracking.fit_loggers import FitMirror
from loop.tracking.rounds import RoundMirror

folder, config = Path(sys.argv[1]), Config()
config.tracking.wandb = WandbMode.online
mirror = RoundMirror(config, folder)
mirror.log(0, {"portraits/SAD": 0.5}, {"accepted": True, "reason": "first"})
assert mirror.close(120)
fit = FitMirror({"wandb": "online", "code": False}, folder, "00/fit_matter", {})
fit.write(0, {"loss": 1.0})
fit.finish()
"""


def test_the_agents_words_are_overrides() -> None:
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/tracking.md").read_text(), re.DOTALL)
    sweep = yaml.safe_load(block)
    assert sweep["metric"]["name"] in (ROOT / "docs/tracking.md").read_text().replace("DOMAIN/SAD", "portraits/SAD")
    args = {"matter.later.lr": {"value": 0.0005}, "select.max_disagreement": {"value": 0.03}}
    assert set(args) == set(sweep["parameters"])
    found = utils.create_sweep_command_args({"args": args})
    words: list[str] = []
    for word in utils.create_sweep_command(sweep["command"]):
        words += found[word[2:-1]] if word.startswith("${") else [word]
    assert words[:2] == ["stylematte", "run"]
    config = load_config(ROOT / words[2], words[3:])
    assert (config.matter.later.lr, config.select.max_disagreement) == (0.0005, 0.03)
    assert (config.run.dir, config.tracking.wandb.value) == ("runs/sweep", "online")


def test_the_loop_run_is_the_trial_and_fits_are_none(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    with RecordingServer() as server:
        own = environment(None, **server.environment(), **TRIAL, HOME=str(tmp_path))
        subprocess.run([sys.executable, "-P", "-c", WRITE, str(tmp_path / "run")], env=own, cwd=ROOT, check=True)
        assert {name: run.said("sweep") for name, run in server.runs.items()} == {
            "trial3": "sweep7",
            "trial3-00-fit_matter": None,
        }
    assert loop_id(tmp_path / "run") == "trial3"


def test_each_trial_has_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def brought(config: object, folder: Path, *_: object) -> None:
        raise KeyboardInterrupt(f"{folder} {config.run.dir}")  # type: ignore[attr-defined]

    monkeypatch.setattr(command, "bring_up_to_date", brought)
    for name, value in TRIAL.items():
        monkeypatch.setitem(os.environ, name, value)
    words = [f"run.dir={tmp_path}"]
    args = type("Args", (), {"config": ROOT / "configs/tiny.yaml", "words": words, "json": False, "redo": False})
    with pytest.raises(KeyboardInterrupt, match=f"{tmp_path}/trial3 {tmp_path}/trial3"):
        command.main(args)
