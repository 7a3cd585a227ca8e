"""Pictures from seeds: independent of the batch, no copies; moved and turned; as a walk."""

import numpy as np
import pytest
import torch
from torch import nn

from stylematte.imagefile import read_text, write_animation, write_rgba
from stylemattegan.networks.generator import Generator
from stylemattegan.sample import (
    latents,
    official_latents,
    psi_for_seed,
    sample,
    shown,
    transform_matrix,
    transformed,
)
from stylemattegan.sample_walk import walk
from tests.fixture_files import about


class Plain(nn.Module):
    """A stand-in whose picture shows z and psi: colour 2F - 1 = psi tanh(z), alpha 1."""

    z_dim = 3

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, z, psi):
        colour = self.gain * psi[:, None] * z.tanh()
        return torch.cat([colour, torch.ones(len(z), 1)], 1)[:, :, None, None].expand(-1, -1, 2, 2)


def test_pictures_do_not_depend_on_the_batch():
    seeds, psi = [5, 0, 9, 7], [0.5, 1.0, 0.7, 0.6]
    together = sample(Plain(), seeds, psi, batch=3)
    assert together.shape == (4, 4, 2, 2)
    assert not together.requires_grad
    for i, (seed, cut) in enumerate(zip(seeds, psi, strict=True)):
        assert torch.equal(sample(Plain(), [seed], [cut])[0], together[i])
    expected = 0.5 + 0.5 * 0.7 * latents([9], 3)[0].tanh()
    torch.testing.assert_close(together[2, :3, 0, 0], expected)
    assert (together[:, 3] == 1).all()


def test_latents_are_standard_normal_and_differ():
    z = latents(range(500), 16)
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.05
    assert (torch.cdist(z, z) + 9 * torch.eye(500)).min() > 1


@pytest.mark.parametrize(
    ("seeds", "psi", "words"),
    [
        ([1, 2, 1], [1.0, 1.0, 0.5], "seed 1 is given more than once"),
        ([1, 2], [0.5, 0.0], "psi must be above 0"),
        ([1, 2], [0.5, -0.5], "psi must be above 0"),
        ([1, 2], [0.5], "2 seeds but 1 psi"),
        ([], [], "no seeds"),
    ],
)
def test_refusals(seeds, psi, words):
    with pytest.raises(ValueError, match=words):
        sample(Plain(), seeds, psi)


def test_psi_is_uniform_in_its_interval():
    values = torch.tensor([psi_for_seed(seed, (0.5, 1.0)) for seed in range(2000)])
    assert values.min() >= 0.5
    assert values.max() <= 1.0
    assert abs(values.mean() - 0.75) < 0.01
    assert abs(values.std() - 0.5 / 12**0.5) < 0.01
    assert psi_for_seed(3, (0.5, 1.0)) == psi_for_seed(3, (0.5, 1.0))
    with pytest.raises(ValueError, match="give 0 < low"):
        psi_for_seed(0, (0.0, 1.0))


def test_official_seeds_give_the_official_latents():
    for seed, expected in about("stylegan3/data_and_ema")["gen_images_seed_z_first4"].items():
        assert official_latents([3, int(seed)], 512)[1, :4].numpy() == pytest.approx(expected, rel=1e-6)


def test_transforms_equal_the_reference():
    G = tiny()
    for case in about("stylegan3/data_and_ema")["gen_images_transforms"]:
        matrix = transform_matrix(case["translate"], case["rotate"])
        np.testing.assert_allclose(matrix, case["matrix"], atol=1e-15)
        with transformed(G, matrix):
            np.testing.assert_allclose(G.synthesis.input.transform, case["inverse"], atol=1e-7)
        assert torch.equal(G.synthesis.input.transform, torch.eye(3))


def tiny(c_dim=0, channels=4, margin=4):
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "w_dim": 8, "img_resolution": 32, "img_channels": channels, "c_dim": c_dim}
    G = Generator(**sizes, channel_base=64, channel_max=8, num_layers=6, margin_size=margin)
    return G.eval().requires_grad_(False)


def test_moved_to_the_right_and_down():
    G = tiny(margin=10)
    still = G(latents([1], 8))
    with transformed(G, transform_matrix((0.25, 0.125))):
        moved = G(latents([1], 8))
    inner = (slice(None), slice(None), slice(10, 26), slice(14, 26))
    torch.testing.assert_close(moved[inner], still.roll((4, 8), (2, 3))[inner], atol=0.02 * float(still.std()), rtol=0)


def test_truncation_cutoff_and_class():
    G = tiny(c_dim=3)
    G.mapping.w_avg.copy_(torch.randn(8))
    labels = torch.eye(3)
    whole, part, none = (sample(G, [4], [0.5], label=labels[1].tolist(), cutoff=cutoff) for cutoff in (None, 2, 0))
    expected = G(latents([4], 8), labels[1:2], psi=0.5, truncation_cutoff=2)
    torch.testing.assert_close(part, shown(expected))
    torch.testing.assert_close(none, shown(G(latents([4], 8), labels[1:2])))
    assert not torch.equal(whole, part)
    assert not torch.equal(sample(G, [4], [0.5], label=[0, 0, 1]), whole)


def test_what_is_shown_of_the_encodings():
    encoded = torch.tensor([0.5, -0.5, 0.0, 0.0]).view(1, 4, 1, 1)
    assert shown(encoded).flatten().tolist() == [1.0, 0.0, 0.5, 0.5]  # colour is times alpha
    assert shown(encoded, straight=True).flatten().tolist() == [0.75, 0.25, 0.5, 0.5]
    assert shown(encoded[:, :3]).flatten().tolist() == [0.75, 0.25, 0.5, 1.0]
    assert shown(encoded[:, :1]).flatten().tolist() == [0.75, 0.75, 0.75, 1.0]


def test_a_walk_passes_its_seeds_and_is_closed():
    G = tiny()
    frames = list(walk(G, [1, 2, 3], 0.8, 4))
    assert len(frames) == 12
    torch.testing.assert_close(torch.stack(frames[::4]), sample(G, [1, 2, 3], [0.8] * 3), atol=1e-4, rtol=0)
    steps = torch.stack([(a - b).abs().mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)])
    apart = (frames[0] - frames[4]).abs().mean()
    assert steps.max() < apart  # the last step, back to the first frame, too
    grid = list(walk(G, [1, 2, 3, 4], 0.8, 1, columns=2, rows=1))
    assert grid[0].shape == (4, 32, 64)
    torch.testing.assert_close(grid[1], torch.cat(list(sample(G, [3, 4], [0.8] * 2)), 2), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="3 seeds for a walk of 2 cells"):
        next(walk(G, [1, 2, 3], 0.8, 4, columns=2))


def test_what_made_a_picture_is_in_the_picture(tmp_path):
    write_rgba(tmp_path / "x.png", torch.rand(4, 6, 5), text={"stylematte": "psi \u03c8 = 1", "other": "1"})
    assert read_text(tmp_path / "x.png") == {"stylematte": "psi \u03c8 = 1", "other": "1"}
    write_rgba(tmp_path / "x.png", torch.rand(4, 6, 5))
    assert read_text(tmp_path / "x.png") == {}


@pytest.mark.parametrize("ending", [".webp", ".png"])
def test_animations_keep_their_frames(tmp_path, ending):
    from PIL import Image

    frames = [torch.rand(4, 16, 16) for _ in range(5)]
    write_animation(tmp_path / f"walk{ending}", frames, 20)
    with Image.open(tmp_path / f"walk{ending}") as animation:
        assert (animation.n_frames, animation.size, animation.mode) == (5, (16, 16), "RGBA")
    with pytest.raises(ValueError, match=r"written as .webp or .png"):
        write_animation(tmp_path / "walk.mp4", frames, 20)
