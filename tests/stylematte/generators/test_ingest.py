"""Ingest: each defect that generators' pictures have is mended or refused, and a clean picture is left alone."""

import numpy as np
import pytest
import torch

from stylematte.data.drawn.dataset import draw
from stylematte.generators.defects import edge_bands
from stylematte.generators.ingest import IngestRules, ingest
from stylematte.rgba import checkerboard
from stylematte.rgba_generator import RGBASample

SIZE = 96


@pytest.fixture(scope="module")
def clean() -> torch.Tensor:
    drawn = draw("portrait", 3, SIZE)
    return torch.cat([drawn.foreground, drawn.alpha])


RULES = IngestRules()


def taken(rgba, rules=RULES, **hints):
    return ingest(RGBASample(rgba.clone(), "one", 0, hints=hints), rules)


@pytest.mark.parametrize(("subject", "seed"), [("portrait", 1), ("portrait", 7), ("animal", 2), ("animal", 5)])
def test_a_clean_picture_is_left_alone(subject, seed):
    drawn = draw(subject, seed, SIZE)
    rgba = torch.cat([drawn.foreground, drawn.alpha])
    found = taken(rgba)
    assert (found.refused, found.mended) == (None, [])
    assert torch.equal(found.rgba, rgba)


def test_premultiplied_colour_is_divided(clean):
    multiplied = torch.cat([clean[:3] * clean[3:], clean[3:]])
    found = taken(multiplied)
    assert found.mended == ["premultiplied"]
    seen = clean[3] > 0.1
    assert (found.rgba - clean)[:, seen].abs().max() < 1e-4
    assert taken(multiplied, premultiplied=False).mended == []


def test_without_transparency_it_is_refused(clean):
    assert "nothing is transparent" in taken(torch.cat([clean[:3], torch.ones(1, SIZE, SIZE)])).refused
    assert "nothing is opaque" in taken(torch.cat([clean[:3], clean[3:] * 0.3])).refused


@pytest.mark.parametrize("cell", [8, 16])
def test_a_checkerboard_in_the_colour_is_refused(clean, cell):
    board = checkerboard(SIZE, SIZE, cell)
    shown = clean[3:] * clean[:3] + (1 - clean[3:]) * board
    assert "checkerboard" in taken(torch.cat([shown, torch.ones(1, SIZE, SIZE)])).refused


def test_red_and_blue_are_exchanged_where_the_file_or_the_skin_says_so():
    alpha = torch.zeros(1, SIZE, SIZE)
    alpha[:, 20:80, 30:70] = 1
    skin = torch.tensor([0.85, 0.62, 0.5])[:, None, None].expand(3, SIZE, SIZE)
    rgba, bgra = torch.cat([skin, alpha]), torch.cat([skin.flip(0), alpha])
    assert torch.equal(taken(bgra, channels="bgra").rgba, rgba)
    assert torch.equal(taken(bgra, IngestRules(skin=True)).rgba, rgba)
    assert taken(rgba, IngestRules(skin=True)).mended == []
    assert taken(bgra).mended == [], "a blue subject is a blue subject"


def test_deep_numbers_in_the_lower_bits_are_stretched(clean):
    ten_bits = (clean * 1023).round() / 65535
    found = taken(ten_bits, bits=16)
    assert found.mended == ["levels"]
    assert (found.rgba - clean).abs().max() < 1e-3


def test_bands_along_the_frame_go_and_a_cut_off_subject_stays(clean):
    banded = clean.clone()
    banded[3, :, :2] = 0.4
    assert edge_bands(banded[3].numpy()) == {"left": 2}
    found = taken(banded)
    assert "bands" in found.mended
    assert (found.rgba[3, :40] - clean[3, :40]).abs().max() < 1e-6
    bust = torch.zeros(SIZE, SIZE)
    bust[30:] = 1
    assert edge_bands(bust.numpy()) == {}


def test_haze_is_mended_where_faint_and_refused_where_it_fills_the_frame(clean):
    faint = clean.clone()
    faint[3] = faint[3].clamp_min(4 / 255)
    found = taken(faint)
    assert found.mended == ["haze"]
    assert (found.rgba[3] == 0).float().mean() > 0.15
    thick = clean.clone()
    thick[3] = thick[3].clamp_min(0.16)
    assert "haze over the frame" in taken(thick).refused


def test_glass_is_refused(clean):
    glass = clean.clone()
    rows = np.linspace(0.15, 0.45, SIZE, dtype=np.float32)
    glass[3] = torch.where(clean[3] > 0.9, torch.from_numpy(rows)[:, None], clean[3])
    assert "glass-like" in taken(glass).refused
