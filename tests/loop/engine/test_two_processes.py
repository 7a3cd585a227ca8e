"""Two gloo processes, started as a real run starts them, fit what one process fits on the same global batch."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loop.config.load import load_config
from loop.engine.config import Launch
from loop.engine.execute import execute
from stylematte.inference.predict import predict
from stylematte.networks.weights import load_matter
from stylemattegan.networks.weights import load_generator
from stylemattegan.sample import sample
from tests.loop.planned import planned

TINY = Path(__file__).parents[3] / "configs" / "tiny.yaml"
# A generator batch of 8 gives each rank one group of 4; R1 every second step, augmentation on.
SETTINGS = ["generator.fit.batch=8", "generator.fit.augment_p=0.3"]
pytestmark = pytest.mark.slow  # two torchruns of two processes each
FITS = ("00/fit_matter", "01/portraits/fit_generator")


@pytest.fixture(scope="module")
def one_process_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """prepare, fit_matter, ..., label and fit_generator of portraits, inline."""
    folder = tmp_path_factory.mktemp("one") / "run"
    config = load_config(TINY, SETTINGS)
    steps = planned(config)[:6]
    assert steps[-1].id == FITS[-1]
    execute(folder, steps, config.launch)
    return folder


@pytest.fixture(scope="module")
def two_process_run(one_process_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with both fits done again on the same inputs, each by a torchrun of two CPU processes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    config = load_config(TINY, SETTINGS)
    launch = replace(config.launch, kind=Launch.torchrun, devices=2, accelerator="cpu", retries=0)
    steps = {step.id: step for step in planned(config)}
    for fit in FITS:
        shutil.copytree(one_process_run, folder / fit)
        shutil.rmtree(folder / fit / "rounds" / fit)
        before = list(steps)[: list(steps).index(fit) + 1]
        execute(folder / fit, [steps[id_] for id_ in before], launch)
    return folder


def pair(one: Path, two: Path, fit: str) -> tuple[Path, Path]:
    return one / "rounds" / fit, two / fit / "rounds" / fit


def test_the_matter_is_the_same(one_process_run: Path, two_process_run: Path) -> None:
    # Compared by what it says: biases in front of a norm have no gradient but rounding, which Adam blows up.
    one, two = (load_matter(folder) for folder in pair(one_process_run, two_process_run, FITS[0]))
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(predict(one, images), predict(two, images), atol=1e-5)


@pytest.mark.parametrize("name", ["G", "D", "G_ema"])
def test_the_generator_is_the_same(one_process_run: Path, two_process_run: Path, name: str) -> None:
    one, two = (load_file(folder / f"{name}.safetensors") for folder in pair(one_process_run, two_process_run, FITS[1]))
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=2e-4 * float(value.abs().max().clamp_min(1e-2))), key


def test_the_pictures_are_the_same(one_process_run: Path, two_process_run: Path) -> None:
    one, two = (load_generator(folder) for folder in pair(one_process_run, two_process_run, FITS[1]))
    assert torch.allclose(sample(one, [1, 2, 3], [1.0] * 3), sample(two, [1, 2, 3], [1.0] * 3), atol=1e-4)
