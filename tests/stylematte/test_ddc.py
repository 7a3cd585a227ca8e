"""Distance consistency against the reference's numbers and against loops in float64."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from stylematte.losses.ddc import PAPER, Sweep, ddc, ddc_and_floor, known_region
from tests.fixture_files import FIXTURES, arrays

CASES = sorted(path.stem for path in (FIXTURES / "ddc").glob("*.safetensors") if "loss_only" not in path.stem)
WEIGHT = 10  # the reference multiplies its mean by this
VARIANTS = ("ddc", "scaled", "hinge")


def fixture(name):
    return arrays(f"ddc/{name}")


def picture(n=1, height=9, width=13, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    image, alpha = (torch.rand(n, c, height, width, generator=generator, dtype=torch.float64) for c in (3, 1))
    trimap = torch.randint(0, 3, (n, 1, height, width), generator=generator) / 2
    return image.to(dtype), alpha.to(dtype), trimap.to(dtype)


# -- the reference's numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_fixtures(name, reference):
    case = fixture(name)
    alpha = case["alpha"].clone().requires_grad_()
    loss = WEIGHT * ddc(case["image"], alpha, sweep=Sweep(reference=reference)).mean()
    loss.backward()
    assert loss.item() == pytest.approx(case["loss_consistency_x10"].item(), abs=2e-6)
    assert (alpha.grad - case["grad_alpha"]).abs().max() < 2e-7


def test_equals_the_fixture_that_keeps_no_input():
    """512 x 512, drawn where the reference's generator stood after its smaller cases: alpha, then the image."""
    generator = torch.Generator().manual_seed(20240820)
    before = sum(4 * n * h * w for n, h, w in [(1, 20, 24), (2, 33, 17), (1, 9, 9)]) + 2 * 3 * 32 * 48
    torch.rand(before, generator=generator)
    alpha, image = (torch.rand(1, c, 512, 512, generator=generator) for c in (1, 3))
    trimap = torch.where(alpha < 0.1, 0.0, torch.where(alpha > 0.9, 1.0, 0.5))
    recorded = arrays("ddc/random_512x512_loss_only")
    assert WEIGHT * ddc(image, alpha).item() == pytest.approx(recorded["loss_consistency_x10"].item(), abs=2e-6)
    assert known_region(alpha, trimap).item() == pytest.approx(recorded["loss_known_mean"].item(), abs=1e-8)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("no_self", {"include_self": False}),
        ("border_replicate", {"border": "replicate"}),
        ("border_exclude", {"border": "exclude"}),
        ("scaled_luma", {"variant": "scaled"}),
    ],
)
@pytest.mark.parametrize("name", CASES)
def test_options_equal_the_fixtures(name, key, options, reference):
    case = fixture(name)
    loss = (
        WEIGHT * ddc(case["image"], case["alpha"], None, replace(PAPER, **options), Sweep(reference=reference)).mean()
    )
    assert loss.item() == pytest.approx(case[f"alt_{key}"].item(), abs=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_known_region_equals_the_fixtures_mean_over_all_known_pixels_of_the_batch(name):
    case = fixture(name)
    known = (case["trimap"] != 0.5).flatten(1).sum(1)
    pooled = (known_region(case["alpha"], case["trimap"]) * known).sum() / known.sum().clamp_min(1)
    assert pooled.item() == pytest.approx(case["loss_known_mean"].item(), abs=1e-7)


def test_the_fixtures_are_read():
    assert len(CASES) == 5


# -- the equations as loops -------------------------------------------------------------------------------------------


def look(image, alpha, y, x, border):
    """Colour and alpha at a place that may lie outside; None where it is excluded. image[c][y][x], alpha[y][x]."""
    height, width = len(alpha), len(alpha[0])
    if border == "replicate":
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    if 0 <= y < height and 0 <= x < width:
        return [plane[y][x] for plane in image], alpha[y][x]
    return None if border == "exclude" else ([0.0, 0.0, 0.0], 0.0)


def loop_pixel(image, alpha, y, x, variant, window, k, border, include_self):
    """One pixel's cost and floor, in plain Python numbers. Among ties: the closest pixel, then reading order."""
    reach, found, lumas = window // 2, [], []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            seen = look(image, alpha, y + dy, x + dx, border)
            if seen is None:
                continue
            colour, other = seen
            lumas.append(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
            if include_self or (dy, dx) != (0, 0):
                d = math.sqrt(sum((c - plane[y][x]) ** 2 for c, plane in zip(colour, image, strict=True)))
                found.append((d, dy * dy + dx * dx, dy, dx, alpha[y][x] - other))
    lumas.sort()
    contrast = (sum(lumas[-k:]) - sum(lumas[:k])) / k
    kept = [(d, difference) for d, *_, difference in sorted(found)[:k]]
    cost = {
        "ddc": [abs(x_ij - d) for d, x_ij in kept],
        "scaled": [abs(x_ij * contrast - d) for d, x_ij in kept],
        "hinge": [max(0.0, abs(x_ij) * contrast - d) for d, x_ij in kept],
    }[variant]
    return sum(cost) / k, 0.0 if variant == "hinge" else sum(d for d, _ in kept) / k


def loop_ddc(image, alpha, chosen, *options):
    image, alpha = image.tolist(), alpha.tolist()
    pixels = [loop_pixel(image, alpha, y, x, *options) for y, x in chosen.nonzero().tolist()]
    return [sum(part) / len(pixels) for part in zip(*pixels, strict=True)]


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("region", ["all", "unknown"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("window", "k", "border", "include_self", "levels"),
    [(5, 4, "zero", True, 0), (3, 3, "exclude", False, 0), (5, 6, "replicate", False, 4), (7, 5, "exclude", True, 3)],
)
def test_equals_the_loop(window, k, border, include_self, levels, variant, region, reference):
    """Pictures of few grey levels (levels > 0) tie everywhere and need the tie-break."""
    image, alpha, trimap = picture(2, 6, 8, seed=window)
    if levels:
        image = (image * levels).floor() / levels
    keywords = {"window": window, "neighbours": k, "border": border, "include_self": include_self, "region": region}
    config = replace(PAPER, variant=variant, **keywords)
    got = ddc_and_floor(image, alpha, trimap, config, Sweep(stable_ties=True, reference=reference))
    for n in range(2):
        chosen = trimap[n, 0] == 0.5 if region == "unknown" else torch.ones(6, 8, dtype=torch.bool)
        expected = loop_ddc(image[n], alpha[n, 0], chosen, variant, window, k, border, include_self)
        assert [part[n].item() for part in got] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "random" in name or "small" in name])
def test_the_loop_in_float64_says_what_the_fixtures_say(name):
    case = fixture(name)
    everywhere = torch.ones(case["alpha"].shape[2:], dtype=torch.bool)
    values = [
        loop_ddc(image.double(), alpha[0].double(), everywhere, "ddc", 11, 11, "zero", True)[0]
        for image, alpha in zip(case["image"], case["alpha"], strict=True)
    ]
    assert WEIGHT * np.mean(values) == pytest.approx(case["loss_consistency_x10"].item(), abs=2e-6)
