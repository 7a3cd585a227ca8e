"""A run's fit of the detail network with all that it can be asked for: the keys arrive, and what comes out loads."""

import json
from pathlib import Path

import pytest
import torch

from loop.cli.main import main
from loop.config.load import load_config
from stylematte.data import photometry
from stylematte.errors import ConfigError
from stylematte.networks.weights import load_matter

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
ASKED = [
    "matter.network.variant=detail", "matter.network.detail_channels=4", "matter.first.trimap_shown=0.5",
    "matter.first.losses.semantic=1", "matter.network.channels_last=true", "matter.network.gradient_checkpointing=true",
    "launch.precision=bf16-mixed", "run.rounds=0", "matter.first.photometry=device",
]  # fmt: skip


def test_a_run_fits_the_detail_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, drawn = photometry.draw, []
    monkeypatch.setattr(photometry, "draw", lambda seed, step, *more: drawn.append(step) or draw(seed, step, *more))
    assert main(["run", str(TINY), *ASKED, f"run.dir={tmp_path}/run"]) == 0
    assert drawn == [0, 1, 2, 3]  # of the four steps
    folder = tmp_path / "run/rounds/00/fit_matter"
    network, image = load_matter(folder), torch.rand(1, 3, 40, 32)
    config = json.loads((folder / "matter.json").read_text())["network"]
    assert {key: config[key] for key in ("variant", "semantic_head", "channels_last")} == {
        "variant": "detail",
        "semantic_head": True,
        "channels_last": True,
    }
    with torch.no_grad():
        assert network(image, torch.ones(1, 1, 40, 32)).shape == (1, 1, 40, 32)
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("loss/semantic" in line for line in logged)
    assert "variant: detail" in (tmp_path / "run/config.yaml").read_text()


def test_shares_are_shares() -> None:
    with pytest.raises(ConfigError, match=r"trimap_shown=1\.5: expected a number from 0 to 1"):
        load_config(TINY, ["matter.network.variant=detail", "matter.first.trimap_shown=1.5"])
    with pytest.raises(ConfigError, match=r"semantic=-1\.0: expected 0 or more"):
        load_config(TINY, ["matter.network.variant=detail", "matter.first.losses.semantic=-1"])


def test_without_a_compiler_compile_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="no-such-compiler not found"):
        load_config(TINY, ["matter.compile=true"])
    assert not load_config(TINY).matter.compile
