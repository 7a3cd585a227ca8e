"""Deformable attention against a loop that follows the equation, and its paths against each other."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from stylematte.ops.deform_attention import deform_attention, gathered, sampled
from stylematte.ops.pointwise import CHUNK, feedforward, linear, project

SHAPES = [(2, 3), (4, 5), (7, 2)]


def case(shapes, n=2, queries=3, heads=2, depth=4, points=2, seed=0):
    """Values, places inside and outside of the maps, and weights that sum to 1."""
    torch.manual_seed(seed)
    value = torch.randn(n, sum(h * w for h, w in shapes), heads, depth)
    locations = torch.rand(n, queries, heads, len(shapes), points, 2) * 1.6 - 0.3
    weights = torch.rand(n, queries, heads, len(shapes) * points).softmax(-1)
    return value, shapes, locations, weights.view(n, queries, heads, len(shapes), points)


def bilinear(cells, height, width, x, y):
    """The map at (x, y) in [0, 1]: the four cells around, 0 beyond the border. cells (height width, D)."""
    x, y = x * width - 0.5, y * height - 0.5
    left, top = math.floor(x), math.floor(y)
    out = torch.zeros(cells.shape[-1])
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            out += (1 - abs(y - row)) * (1 - abs(x - column)) * cells[row * width + column]
    return out


def naive(value, shapes, locations, weights):
    n, queries, heads, levels, points, _ = locations.shape
    out = torch.zeros(n, queries, heads, value.shape[-1])
    for i, q, m, level, p in itertools.product(*map(range, (n, queries, heads, levels, points))):
        begin = sum(h * w for h, w in shapes[:level])
        height, width = shapes[level]
        x, y = locations[i, q, m, level, p].tolist()
        cells = value[i, begin : begin + height * width, m]
        out[i, q, m] += weights[i, q, m, level, p] * bilinear(cells, height, width, x, y)
    return out.flatten(2)


@pytest.mark.parametrize("path", [sampled, gathered])
def test_equals_the_loop(path):
    arguments = case(SHAPES)
    with torch.no_grad():
        torch.testing.assert_close(path(*arguments), naive(*arguments), rtol=1e-5, atol=1e-5)


def test_a_cell_centre_gives_the_cell():
    """Weight 1 on the centre of cell (1, 2) of a 4 x 5 map: x = 2.5 / 5, y = 1.5 / 4."""
    value = torch.arange(20.0).view(1, 20, 1, 1)
    place = torch.tensor([2.5 / 5, 1.5 / 4]).view(1, 1, 1, 1, 1, 2)
    with torch.no_grad():
        for path in (sampled, gathered):
            assert path(value, [(4, 5)], place, torch.ones(1, 1, 1, 1, 1)).item() == pytest.approx(7, abs=1e-5)


def test_far_outside_is_zero_and_a_border_fades():
    value, place = torch.ones(1, 4, 1, 1), torch.tensor([[5.0, 0.5], [-9.0, 0.5], [1.0, 0.5], [0.0, 0.0]])
    locations = place.view(1, 4, 1, 1, 1, 2)
    with torch.no_grad():
        for path in (sampled, gathered):
            out = path(value, [(2, 2)], locations, torch.ones(1, 4, 1, 1, 1))
            torch.testing.assert_close(out.flatten(), torch.tensor([0, 0, 0.5, 0.25]))


@pytest.mark.parametrize("shapes", [[(1, 4), (3, 3)], [(1, 1)]])
def test_maps_of_one_row_and_places_that_are_no_number_take_the_safe_path(shapes):
    arguments = case(shapes)
    with torch.no_grad():
        torch.testing.assert_close(deform_attention(*arguments), naive(*arguments), rtol=1e-5, atol=1e-5)
        arguments[2][0, 0, 0, 0, 0, 0] = float("nan")
        deform_attention(*arguments)


def test_gradients_are_right():
    value, shapes, locations, weights = case([(2, 3), (3, 2)], n=1, queries=2)
    inputs = [t.double().requires_grad_() for t in (value, locations, weights)]
    assert torch.autograd.gradcheck(lambda v, x, w: deform_attention(v, shapes, x, w), inputs)


def test_shapes_that_do_not_fit_are_refused():
    value, _, locations, weights = case(SHAPES)
    with pytest.raises(ValueError, match=r"expected \(N, 7, M, D\)"):
        deform_attention(value, [(7, 1)], locations, weights)


def test_products_on_the_fast_path_are_the_plain_ones():
    torch.manual_seed(0)
    x, layer, back = torch.randn(2, CHUNK // 2 + 3, 5), torch.nn.Linear(5, 11), torch.nn.Linear(11, 5)
    expected = layer(x)
    with torch.no_grad():
        torch.testing.assert_close(linear(x, layer.weight), x @ layer.weight.T)
        torch.testing.assert_close(project(layer, x), expected)
        torch.testing.assert_close(feedforward(x, layer, F.gelu, back), back(F.gelu(expected)))
    assert project(layer, x).requires_grad
