"""A generator fitted, saved and measured from Python alone, without the loop: as the docs show."""

from functools import partial

import lightning
import pytest
import torch

from stylematte.imagefile import read_rgba, write_rgba
from stylematte.sampling import generator_at
from stylemattegan.config import GeneratorFitConfig, GeneratorNetworkConfig, Metric
from stylemattegan.measure import measure
from stylemattegan.metrics.features import pixels
from stylemattegan.networks.weights import load_generator
from stylemattegan.training.cutouts import CutoutData
from stylemattegan.training.module import GeneratorModule
from stylemattegan.training.start import build_like

NETWORK = GeneratorNetworkConfig(
    z_dim=8, w_dim=8, channel_base=64, channel_max=6, num_layers=4, margin_size=4, d_channel_base=64, d_channel_max=6
)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for number, path in enumerate(paths):
        write_rgba(path, torch.rand(4, 16, 16, generator=generator_at("alone", number)))
    return paths


def test_fit_save_measure(files, tmp_path):
    fit = GeneratorFitConfig(steps=2, tick=2, batch=4)
    module = GeneratorModule(NETWORK, fit, resolution=16, seed=0)
    data = CutoutData([files], resolution=16, batch=fit.batch, steps_per_epoch=fit.tick, seed=0)
    quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False)
    trainer = lightning.Trainer(max_epochs=fit.steps // fit.tick, accelerator="cpu", **quiet)
    trainer.fit(module, data)
    module.save(tmp_path / "generator", meta={})
    G = load_generator(tmp_path / "generator")
    real = [partial(read_rgba, file) for file in files]
    values = measure(G, pixels(), [Metric.frechet, Metric.kid, Metric.pr], real=real, count=8, halves=4)
    of_pr = {"precision", "recall", "density", "coverage"}
    assert set(values) == {"frechet", "kid", "frechet_error", "kid_error"} | of_pr
    assert values["frechet"] > 0
    with pytest.raises(ValueError, match="kid is measured against real pictures, and there are none"):
        measure(G, pixels(), [Metric.kid, Metric.ppl], count=8)


def test_networks_built_like_those_in_a_folder(files, tmp_path):
    """Of the folder's architecture, with the half-lives of the present configuration."""
    GeneratorModule(NETWORK, GeneratorFitConfig(batch=4), 16, 0).save(tmp_path / "generator", meta={})
    present = GeneratorNetworkConfig(z_dim=64, magnitude_ema_nimg=400.0, w_avg_beta=0.9)
    G, D = build_like(tmp_path / "generator", present, resolution=16, batch=4, seed=0)
    assert (G.z_dim, D.config["channel_max"]) == (8, 6)
    assert G.config["magnitude_ema_beta"] == pytest.approx(0.5 ** (4 / 400))
    assert G.config["w_avg_beta"] == 0.9
