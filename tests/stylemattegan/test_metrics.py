"""Distances of features, precision and recall, path length: closed forms, and the fixtures' values."""

import numpy as np
import pytest
import torch
from torch import nn

from stylematte.sampling import generator_at
from stylemattegan.metrics import (
    frechet_distance,
    kernel_distance,
    kernel_distance_of_blocks,
    path_length,
    precision_recall,
    slerp,
)
from tests.fixture_files import about, arrays


@pytest.fixture
def fixture():
    data = arrays("stylegan3/metrics")
    return about("stylegan3/metrics"), {name: value.numpy() for name, value in data.items()}


def test_frechet_equals_the_reference(fixture):
    expected, data = fixture
    assert frechet_distance(data["feat_gen"], data["feat_real"]) == pytest.approx(expected["fid"], rel=1e-4)


def test_kernel_equals_the_reference(fixture):
    """The reference averages over 20 subsets of 100."""
    expected, data = fixture
    subsets = [
        kernel_distance(data["feat_gen"][generated], data["feat_real"][real])
        for generated, real in zip(data["kid_picks_gen"], data["kid_picks_real"], strict=True)
    ]
    assert np.mean(subsets) == pytest.approx(expected["kid"], rel=1e-4)


def test_frechet_of_shifted_and_scaled_features():
    """Axis-wise Gaussians: squared shift plus squared difference of the standard deviations."""
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])  # standard deviation sqrt(1/2) on both axes
    assert frechet_distance(cross, cross + np.array([3, 4])) == pytest.approx(25)
    assert frechet_distance(cross, 3 * cross) == pytest.approx(2 * (3 - 1) ** 2 * 0.5)
    assert frechet_distance(cross, cross) == pytest.approx(0, abs=1e-9)


def test_frechet_with_fewer_samples_than_features():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 20)), rng.normal(size=(9, 20)) + 1
    padded = [np.concatenate([x, x, x, x]) for x in (a, b)]  # same mean and covariance, other branch
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(*padded), rel=1e-6)


def test_kernel_against_the_definition():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))

    def k(u, v):
        return (sum(u * v) / 3 + 1) ** 3

    naive = sum(k(x[i], x[j]) for i in range(4) for j in range(4) if i != j) / 12
    naive += sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    naive -= 2 * sum(k(u, v) for u in x for v in y) / 20
    assert kernel_distance(x, y) == pytest.approx(naive)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize(
    ("other", "words"),
    [(np.zeros((4, 2)), "differ in length"), (np.zeros((1, 3)), "at least 2"), (np.full((4, 3), np.nan), "nan")],
)
def test_bad_features(distance, other, words):
    with pytest.raises(ValueError, match=words):
        distance(np.zeros((4, 3)), other)


def test_frechet_of_two_gaussians():
    """Correlated ones: with C = A A' and D = B B', tr(C + D - 2 (C^(1/2) D C^(1/2))^(1/2)) by eigenvalues."""
    rng = np.random.default_rng(2)
    whitened = rng.normal(size=(500, 3))
    whitened -= whitened.mean(0)
    whitened = whitened @ np.linalg.inv(np.linalg.cholesky(np.cov(whitened.T, bias=True)).T)  # covariance 1
    A, B = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    values, vectors = np.linalg.eigh(A @ A.T)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ B @ B.T @ root)).sum()
    expected = np.trace(A @ A.T) + np.trace(B @ B.T) - 2 * cross + 14
    assert frechet_distance(whitened @ A.T, whitened @ B.T + [1, 2, 3]) == pytest.approx(expected)


def test_kernel_blocks_are_the_kernel_distance_on_average():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 4)), rng.normal(size=(260, 4)) + 0.4
    assert kernel_distance_of_blocks(x, y, 200, 100) == pytest.approx(kernel_distance(x, y), rel=0.05)
    assert kernel_distance_of_blocks(x[:50], y[:50], 1, 1000) == pytest.approx(kernel_distance(x[:50], y[:50]))
    assert kernel_distance_of_blocks(x, y, 3, 50, seed=1) == kernel_distance_of_blocks(x, y, 3, 50, seed=1)
    same = rng.normal(size=(300, 4))
    assert abs(kernel_distance_of_blocks(x, same, 200, 100)) < 0.1 * kernel_distance(x, y)  # one law: 0 on average


def test_precision_and_recall_equal_the_reference(fixture):
    expected, data = fixture
    found = precision_recall(data["feat_gen"], data["feat_real"])
    assert found == pytest.approx(expected["precision_recall_k3"]["float32"], abs=1e-6)


def test_precision_and_recall_on_a_line():
    """Real ones at 0, 1, 2, 3 and k = 1: balls of radius 1, so [-1, 4] is covered. Generated at 0.5, 0.75 and 9."""
    real, generated = np.arange(4.0)[:, None], np.array([[0.5], [0.75], [9.0]])
    # balls of the generated: radius 1/4, 1/4 and 8.25, the last from 0.75 on: reals 1, 2, 3
    assert precision_recall(generated, real, k=1) == pytest.approx((2 / 3, 3 / 4))


def test_precision_and_recall_of_equal_and_of_far_sets():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 5))  # more than one part
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x + 1000) == (0, 0)
    same = np.full((20, 5), 1e3)  # a collapsed generator, whose balls have no radius
    assert precision_recall(same, x[:50]) == (0, 0)
    assert precision_recall(same, same) == (1, 1)
    with pytest.raises(ValueError, match="k = 20 neighbours of sets of 20 and 50"):
        precision_recall(same, x[:50], k=20)


def test_slerp_equals_the_reference(fixture):
    data = {key: torch.from_numpy(fixture[1][f"slerp{key}"]) for key in ("_a", "_b", "_t", "")}
    torch.testing.assert_close(slerp(data["_a"], data["_b"], data["_t"]), data[""], atol=1e-6, rtol=1e-5)


class Linear(nn.Module):
    """Pictures (N, 1, 3, 3) = A w, with w = 2 z repeated for two layers."""

    z_dim = 4

    def __init__(self):
        super().__init__()
        self.A = nn.Parameter(torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))

    def mapping(self, z):
        return 2 * z.double()[:, None].expand(-1, 2, -1)

    def synthesis(self, w):
        return (w[:, 1] @ self.A.T).view(-1, 1, 3, 3)


@pytest.mark.parametrize("ends", [True, False])
def test_path_length_of_a_linear_generator(ends):
    """A (w1 - w0) does not depend on the place or the step: its mean square is 2 * 4 |A|^2, |A| by Frobenius."""
    generator = Linear()
    found = [
        path_length(generator, lambda x: x.flatten(1), 600, ends=ends, epsilon=step, batch=b)
        for step, b in ((1e-4, 600), (1e-2, 7))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] == pytest.approx(8 * float(generator.A.detach().square().sum()), rel=0.1)
    assert path_length(generator, lambda x: 0 * x.flatten(1), 10) == 0


def test_path_length_in_z_is_that_of_the_sphere():
    """In z a step of epsilon turns by epsilon times the angle between the latents, on a sphere of radius 1."""

    class Sphere(Linear):
        def __init__(self):
            super().__init__()
            self.A.data = torch.eye(9, 4, dtype=torch.float64) / 2  # the picture is z itself

    z = [torch.randn(2, 4, generator=g) for g in (generator_at(0, "path", n) for n in range(5))]
    angles = [float(torch.cosine_similarity(a, b, dim=0).acos()) for a, b in z]
    kept = sorted(angles)
    found = path_length(Sphere(), lambda x: x.flatten(1), 5, space="z", epsilon=1e-2)
    assert found == pytest.approx(np.mean(np.square(kept)), rel=2e-3)
    with pytest.raises(ValueError, match="at least 1"):
        path_length(Sphere(), lambda x: x.flatten(1), 0)
