"""The terms on alpha's statistics against numbers worked out by hand."""

import pytest
import torch

from stylemattegan.config import AlphaRegularizerConfig
from stylemattegan.training.alpha_regularizer import AlphaRegularizer, band_share, mean_outside, relative_gap
from stylemattegan.training.terms import Position


def alpha_terms(fake, real, mean=1.0, band=1.0):
    """Unweighted, by their names without alpha/."""
    terms = AlphaRegularizer(AlphaRegularizerConfig(mean, band)).generator_terms(fake, real, Position(0, 0))
    return {term.name.removeprefix("alpha/"): term.value for term in terms}


def encoded(*alphas, size=8):
    """Pictures of one alpha each, grey."""
    pictures = torch.zeros(len(alphas), 4, size, size)
    pictures[:, 3] = torch.tensor(alphas)[:, None, None] * 2 - 1
    return pictures


def test_distance_from_the_interval():
    """0.1 is 0.2 below, 0.5 within, 0.8 is 0.2 above: (0.04 + 0 + 0.04) / 3."""
    distance = mean_outside(torch.tensor([0.1, 0.5, 0.8]), torch.tensor(0.3), torch.tensor(0.6))
    assert float(distance) == pytest.approx(0.08 / 3)


def test_band_share_of_a_ramp_is_two_thirds_of_its_width():
    """A straight edge across 240 x 240 with a ramp of 60 pixels: 2/3 * 60 / 240."""
    ramp = ((torch.arange(240) + 0.5 - 90) / 60).clamp(0, 1).expand(1, 1, 240, 240)
    assert float(band_share(ramp)) == pytest.approx(2 / 3 * 60 / 240, rel=1e-3)
    assert band_share((ramp > 0.5).float()).tolist() == [0.0]


def test_relative_gap_of_half_and_of_twice():
    assert float(relative_gap(torch.tensor(0.1), torch.tensor(0.2))) == pytest.approx(1 / 9)
    assert float(relative_gap(torch.tensor(0.4), torch.tensor(0.2))) == pytest.approx(1 / 9)
    assert float(relative_gap(torch.tensor(0.0), torch.tensor(0.2))) == pytest.approx(1.0)


def test_terms_of_whole_batches():
    """Real pictures of alpha 0.2 and 0.6; generated ones of 0.7 and 0.9: (0.1^2 + 0.3^2) / 2; bands 0.6 and 0.8."""
    terms = alpha_terms(encoded(0.7, 0.9), encoded(0.2, 0.6))
    assert float(terms["mean"]) == pytest.approx(0.05)
    real, fake = (0.64 + 0.96) / 2, (0.84 + 0.36) / 2
    assert float(terms["band"]) == pytest.approx(((fake - real) / (fake + real)) ** 2, rel=1e-5)


def test_equal_batches_cost_nothing():
    pictures = encoded(0.2, 0.4, 0.6)
    assert [float(term) for term in alpha_terms(pictures, pictures).values()] == [0.0, 0.0]


def test_a_weight_of_0_leaves_a_term_out():
    fake, real = encoded(0.7), encoded(0.2)
    assert alpha_terms(fake, real, mean=0.0, band=0.0) == {}
    assert set(alpha_terms(fake, real, mean=0.0, band=2.0)) == {"band"}
    assert set(alpha_terms(fake, real, mean=1.0, band=0.0)) == {"mean"}


def test_the_weight_is_the_configured_one():
    (term,) = AlphaRegularizer(AlphaRegularizerConfig(mean=7.0)).generator_terms(
        encoded(0.7), encoded(0.2), Position(0, 0)
    )
    assert (term.weight, term.name) == (7.0, "alpha/mean")


@pytest.mark.parametrize("collapsed", [-0.2, 1.3])
def test_a_collapsed_alpha_is_drawn_back(collapsed):
    """All empty or all full, even out of range: a step against the gradient moves every pixel back."""
    fake = encoded(collapsed).requires_grad_()
    alpha_terms(fake, encoded(0.3, 0.6), mean=1.0, band=0.0)["mean"].backward()
    gradient = fake.grad[:, 3]
    assert bool(((gradient > 0) == (collapsed > 1)).all())
    assert bool((gradient != 0).all())
    assert float(fake.grad[:, :3].abs().sum()) == 0


def test_the_band_sharpens_haze_and_softens_a_hard_edge():
    ramp = ((torch.arange(16) - 4) / 8).clamp(0.02, 0.98).expand(1, 1, 16, 16)
    real = torch.cat([torch.zeros(1, 3, 16, 16), 2 * ramp - 1], 1)
    for start, rises in ((0.3, False), (0.01, True)):
        fake = encoded(start, size=16).requires_grad_()
        alpha_terms(fake, real, mean=0.0, band=1.0)["band"].backward()
        moved = fake.detach() - fake.grad
        before, after = (float(band_share((x[:, 3:] + 1) / 2)) for x in (fake.detach(), moved))
        assert (after > before) == rises


def test_gradcheck():
    fake = (torch.rand(3, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8) / 2
    real = encoded(0.2, 0.3, size=3).double()
    assert torch.autograd.gradcheck(lambda x: tuple(alpha_terms(x, real).values()), fake.requires_grad_())
