"""The generator's fit with a composite discriminator and alpha regularisers: bits that stay, resume, processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stylematte.imagefile import write_rgb
from stylematte.sampling import generator_at
from stylemattegan.config import AlphaRegularizerConfig, CompositeDiscriminatorConfig, CompositeDiscriminatorKind
from stylemattegan.training.composite_discriminator import CompositeDiscriminator, build_network
from stylemattegan.training.composites import Backgrounds
from stylemattegan.training.cutouts import CutoutData
from stylemattegan.training.module import GeneratorModule
from tests.stylemattegan.test_module import (
    BATCH,
    SIZE,
    Pictures,
    assert_equal_weights,
    cutouts,
    fit_config,
    network_config,
    trainer,
    with_one_of_three_seeds,
)
from tests.stylemattegan.test_projected import Toy

TERMS = AlphaRegularizerConfig(mean=5.0, band=1.0)


def composite_config(kind, weight=1.0, r1_gamma=0.5, **changes):
    return CompositeDiscriminatorConfig(CompositeDiscriminatorKind(kind), weight, r1_gamma=r1_gamma, **changes)


@pytest.fixture
def folder(tmp_path):
    return write_backgrounds(tmp_path)


def write_backgrounds(folder):
    for i in range(3):
        write_rgb(folder / f"{i}.png", torch.rand(3, SIZE, SIZE, generator=generator_at("background", i)))
    return folder


def fitted(folder, ticks=1, steps=4, data=None, ckpt=None, kind="composite", alpha_regularizer=None, seed=0, **changes):
    composite = None
    if kind is not None:
        config = composite_config(kind, **changes)
        trained = build_network(config, network_config(), SIZE, seed, Toy())
        pool = Backgrounds(sorted(folder.glob("[0-9].png")), SIZE, plain=0.2, foreground=0.2)
        composite = CompositeDiscriminator(trained, pool, config, r1_every=3, batch=BATCH, seed=seed)
    module = GeneratorModule(network_config(), fit_config(), SIZE, seed, None, composite, alpha_regularizer)
    run = trainer(ticks)
    run.fit(module, datamodule=data or Pictures(steps), ckpt_path=ckpt)
    return module, run


def test_weights_of_0_change_nothing(folder):
    """Weight 0 and alpha regularisers of weight 0: G, D and losses are to the bit those of a fit without."""
    plain, plain_run = fitted(folder, kind=None)
    silent, run = fitted(folder, weight=0.0, alpha_regularizer=AlphaRegularizerConfig())
    for name in ("G", "D", "G_ema"):
        assert_equal_weights(getattr(silent, name), getattr(plain, name))
    values = {name: value for name, value in run.callback_metrics.items() if not name.startswith("D2/")}
    assert values == plain_run.callback_metrics
    heard, _ = fitted(folder)
    assert not torch.equal(heard.G.mapping.fc0.weight, plain.G.mapping.fc0.weight)


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_logs_and_learns(folder, kind):
    module, run = fitted(folder, kind=kind, alpha_regularizer=TERMS)
    assert {"D2/loss", "D2/r1", "alpha/mean", "alpha/band"} <= set(run.callback_metrics)
    start = build_network(composite_config(kind), network_config(), SIZE, 0, Toy())
    trained = module.auxiliaries["composite_discriminator"].network
    for (name, old), new in zip(start.named_parameters(), trained.parameters(), strict=True):
        assert not torch.equal(old, new), name
    # a frozen backbone stays out of checkpoints
    prefix = "auxiliaries.composite_discriminator.network."
    names = {name.removeprefix(prefix) for name in module.state_dict() if name.startswith(prefix)}
    assert names == set(start.state_dict())


@pytest.mark.parametrize("kind", ["composite", "projected"])
def test_resume_equals_the_unbroken_fit_bit_for_bit(folder, kind, tmp_path):
    files = cutouts(tmp_path / "cutouts", 6)

    def data():
        return CutoutData([files], resolution=SIZE, batch=BATCH, steps_per_epoch=2, seed=1)

    whole, _ = fitted(folder, 2, data=data(), kind=kind, alpha_regularizer=TERMS)
    _, run = fitted(folder, 1, data=data(), kind=kind, alpha_regularizer=TERMS)
    run.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = fitted(folder, 2, data=data(), kind=kind, alpha_regularizer=TERMS, ckpt=tmp_path / "last.ckpt")
    assert resumed.step == 4
    assert_equal_weights(resumed, whole)


TWO_PROCESSES = """
import os, sys, torch, torch.distributed as dist
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.stylemattegan.test_composite_discriminator_fit import TERMS, Pictures, fitted
torch.set_num_threads(1)
children = []
for rank in range(2):
    child = os.fork()
    if child == 0:
        dist.init_process_group("gloo", init_method="file://{folder}/store.{seed}", rank=rank, world_size=2)
        fit, _ = fitted(Path({folder!r}), data=Pictures(4, rank, 2), alpha_regularizer=TERMS, seed={seed})
        torch.save(fit.state_dict(), "{folder}/%d.{seed}.pt" % rank)
        dist.barrier()
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children) > 0)
"""


@pytest.mark.slow
def test_two_processes_equal_one(folder):
    with_one_of_three_seeds(lambda seed: two_processes_equal_one(folder, seed))


def two_processes_equal_one(folder, seed):
    root = str(Path(__file__).parents[2])
    code = TWO_PROCESSES.format(root=root, folder=str(folder), seed=seed)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.fail(done.stderr[-2000:])
    alone, _ = fitted(folder, alpha_regularizer=TERMS, seed=seed)
    for rank in range(2):
        weights = torch.load(folder / f"{rank}.{seed}.pt")
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-5, rtol=1e-5, msg=lambda t, n=name: f"{n}: {t}")
