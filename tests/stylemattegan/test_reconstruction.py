"""Fits that begin by reconstructing their cut-outs: latents, the term's value, phases, resume, processes, learning."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from stylematte import distributed
from stylematte.imagefile import write_rgba
from stylemattegan.config import ReconstructionConfig
from stylemattegan.training.cutouts import CutoutData
from stylemattegan.training.module import GeneratorModule
from stylemattegan.training.reconstruction import Reconstruction, laplacian_l1, principal_latents
from tests.stylemattegan.test_module import (
    BATCH,
    SIZE,
    assert_equal_weights,
    cutouts,
    fit_config,
    fitted,
    network_config,
    trainer,
)

START = ReconstructionConfig(steps=3, d_steps=2, share=0.5, weight=0.5, lr=0.05)


def reconstruction(files, config=START, **changes):
    return Reconstruction(files, config, **(dict(resolution=SIZE, z_dim=8, batch=BATCH, seed=3) | changes))


def module(files, config=START, steps=20, **changes):
    fit = fit_config(steps=steps, **changes)
    return GeneratorModule(network_config(), fit, SIZE, 0, reconstruction=reconstruction(files, config))


def fit(files, ticks, steps=4, ckpt=None, config=START, **changes):
    run, made = trainer(ticks), module(files, config, steps=max(20, ticks * steps), **changes)
    data = CutoutData([files], resolution=SIZE, batch=BATCH, steps_per_epoch=steps, seed=1)
    run.fit(made, datamodule=data, ckpt_path=ckpt)
    return made, run


def test_principal_latents_are_white_and_the_first_is_where_the_rows_differ_most():
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 3, 1, 0.5, 0.2, 0])
    found = principal_latents(rows, 8, seed=0)
    white = found[:, :5]
    torch.testing.assert_close(white.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(white.T @ white / 40, torch.eye(5), atol=1e-4, rtol=0)
    assert torch.corrcoef(torch.stack([found[:, 0], rows[:, 0]]))[0, 1].abs() > 0.95
    assert found.shape == (40, 8)
    assert found[:, 5:].std() > 0.5  # no component is left for these: normal numbers


def test_the_term_counts_every_level_with_its_mean():
    """A constant 1 apart has the coarse rest alone; one pixel of 8 x 8 has its bands, by hand."""
    assert laplacian_l1(torch.ones(2, 4, 16, 16), torch.zeros(2, 4, 16, 16)) == 1
    dot = torch.zeros(1, 1, 8, 8)
    dot[..., 0, 0] = 1
    # finest: 3/4 once and -1/4 three times over 64 pixels; rest: 1/4 once over 4 x 4
    assert laplacian_l1(dot, torch.zeros_like(dot)).item() == pytest.approx(1.5 / 64 + 0.25 / 16)


def test_every_cutout_and_its_mirror_image_have_a_latent(tmp_path):
    files = cutouts(tmp_path, 4)
    start = reconstruction(files)
    assert start.latents.shape == (8, 8)
    known = [start.known(step) for step in (0, 1)]
    assert [len(each.latents) for each in known] == [BATCH, BATCH]
    as_pairs = {(tuple(z.tolist()), tuple(x.flatten().tolist())) for one in known for z, x in zip(*one, strict=True)}
    assert len(as_pairs) == 8  # a lap of 8 latents each, and each latent means one picture
    pictures = start._pictures(range(8))
    torch.testing.assert_close(pictures[1::2], pictures[0::2].flip(3))
    assert len(start.known(5).latents) == BATCH // 2
    assert reconstruction(files, mirror=False).latents.shape == (4, 8)
    assert reconstruction(files, ReconstructionConfig(steps=1, share=0.0)).known(1) is None


def test_the_rate_of_g_falls_to_its_own_while_it_reconstructs(tmp_path):
    start = reconstruction(cutouts(tmp_path, 4), ReconstructionConfig(steps=4, speed=3.0))
    assert [round(start.rate_factor(step), 6) for step in (0, 2, 4, 9)] == [3.0, 2.0, 1.0, 1.0]


def test_ranks_share_what_one_process_would_reconstruct(tmp_path, monkeypatch):
    files = cutouts(tmp_path, 6)
    whole = reconstruction(files).known(4)
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "world", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        part = reconstruction(files).known(4)
        assert torch.equal(part.latents, whole.latents[rank::2])
        assert torch.equal(part.pictures, whole.pictures[rank::2])


def test_jitter_is_noise_of_that_size_around_latents_of_size_1(tmp_path, monkeypatch):
    files = cutouts(tmp_path, 6)
    still, shaken = (reconstruction(files, replace(START, jitter=jitter), z_dim=512) for jitter in (0.0, 0.3))
    plain, noisy = still.known(1), shaken.known(1)
    assert torch.equal(plain.pictures, noisy.pictures)
    sizes = plain.latents.square().mean(1, keepdim=True).sqrt()
    noise = noisy.latents - plain.latents / sizes
    torch.testing.assert_close(noise.std(1), torch.full((BATCH,), 0.3), atol=0.05, rtol=0)
    assert torch.equal(shaken.known(1).latents, noisy.latents)  # of the step and the cut-out alone
    assert not torch.equal(shaken.known(3).latents[0], noisy.latents[0])
    noisy.latents.sum().backward()
    assert shaken.latents.grad.abs().sum() > 0
    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert torch.equal(shaken.known(1).latents, noisy.latents[1::2])


def test_each_phase_moves_what_it_should(tmp_path):
    """Three steps of G and the latents, two of D, then both."""
    files = cutouts(tmp_path, 4)
    states = []
    for steps in (0, 3, 5, 6):
        made = module(files) if not steps else fit(files, 1, steps)[0]
        states.append((made.G.mapping.fc0.weight, made.reconstruction.latents, made.D.b4.out.weight))
    moved = [[not torch.equal(a, b) for a, b in zip(before, after, strict=True)] for before, after in pairwise(states)]
    assert moved == [[True, True, False], [False, False, True], [True, True, True]]


def test_a_fit_that_goes_on_has_none(tmp_path):
    files = cutouts(tmp_path, 4)
    made, _ = fit(files, 1)
    made.save(tmp_path / "generator", {})
    start = reconstruction(files)
    later = GeneratorModule(network_config(), fit_config(), SIZE, 0, tmp_path / "generator", reconstruction=start)
    assert later.reconstruction is None


@pytest.mark.parametrize("steps", [2, 4, 5])
def test_resume_equals_the_unbroken_fit_bit_for_bit(tmp_path, steps):
    """Broken in each of the phases."""
    files = cutouts(tmp_path, 6)
    whole, _ = fit(files, 2, steps)
    half, run = fit(files, 1, steps)
    run.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = fit(files, 2, steps, ckpt=tmp_path / "last.ckpt")
    assert_equal_weights(resumed, whole)
    assert not torch.equal(half.reconstruction.latents, whole.reconstruction.latents)


def test_without_steps_nothing_changes(tmp_path):
    files = cutouts(tmp_path, 6)

    def data():
        return CutoutData([files], resolution=SIZE, batch=BATCH, steps_per_epoch=2, seed=1)

    plain, _ = fitted(1, data=data())
    other, _ = fitted(1, data=data(), reconstruction={"share": 0.25, "weight": 3.0})
    assert_equal_weights(other, plain)


def test_plain_colours_are_learned(tmp_path):
    """A red and a blue square: they are reconstructed ten times better in the end, each from its own latent."""
    files = [tmp_path / f"{name}.png" for name in ("red", "blue")]
    for file, colour in zip(files, ((1.0, 0, 0, 1), (0, 0, 1.0, 1)), strict=True):
        write_rgba(file, torch.tensor(colour)[:, None, None].expand(4, SIZE, SIZE))
    config = ReconstructionConfig(steps=60, lr=0.01)

    def distance(module):
        known = module.reconstruction.known(0)
        return laplacian_l1(module.G(known.latents), known.pictures)

    learned, run = fit(files, 1, 60, config=config, glr=0.02)
    assert distance(learned) < 0.1 * distance(module(files, config, steps=60))
    assert run.callback_metrics["G/reconstruction"] < 0.1
