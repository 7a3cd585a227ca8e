"""Two gloo processes, started as a real run starts them, fit what one process fits on the same global batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loop.config import Launch
from loop.configfile import load_config
from loop.execute import execute
from loop.plan import plan

TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"


@pytest.fixture(scope="module")
def two_process_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """prepare, fit_matter, ..., fit_generator of portraits; generator batch 8, so that each rank has a group of 4."""
    folder = tmp_path_factory.mktemp("two") / "run"
    config = load_config(TINY, [f"run.dir={folder}", "generator.fit.batch=8", "generator.fit.augment_p=0.3"])
    steps = plan(config)[:6]
    assert steps[-1].id == "01/portraits/fit_generator"
    launch = replace(config.launch, kind=Launch.torchrun, devices=2, accelerator="cpu", retries=0)
    execute(folder, steps, launch)
    return folder


@pytest.fixture(scope="module")
def one_process_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "run"
    config = load_config(TINY, [f"run.dir={folder}", "generator.fit.batch=8", "generator.fit.augment_p=0.3"])
    execute(folder, plan(config)[:6], config.launch)
    return folder


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("00/fit_matter", "matter"),
        ("01/portraits/fit_generator", "G"),
        ("01/portraits/fit_generator", "D"),
        ("01/portraits/fit_generator", "G_ema"),
    ],
)
def test_equal_weights(one_process_run: Path, two_process_run: Path, step: str, name: str) -> None:
    one, two = (
        load_file(folder / "rounds" / step / f"{name}.safetensors") for folder in (one_process_run, two_process_run)
    )
    assert one.keys() == two.keys()
    for key, value in one.items():
        scale = value.float().abs().max().clamp_min(1e-3)
        assert torch.allclose(two[key].float(), value.float(), atol=float(2e-4 * scale), rtol=0), key
