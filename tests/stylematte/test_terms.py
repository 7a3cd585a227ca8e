"""Samples with an alpha and samples with a trimap in one batch: which terms apply, and with what weight."""

from dataclasses import replace

import pytest
import torch

from stylematte.config import DdcConfig
from stylematte.losses import alpha as on_alpha
from stylematte.losses.ddc import ddc, floor, known_region
from stylematte.losses.terms import EXCESS, named_terms, unknown_l1
from stylematte.rgba import MattingBatch

OPTIONS = DdcConfig(window=5, neighbours=5)
NAMES = ("l1", "laplacian", "gradient", "composition", "semantic", "known", "ddc", "closed_form")


def a_batch(known: list[float], taught: list[float] | None = None) -> tuple[torch.Tensor, MattingBatch]:
    g, n = torch.Generator().manual_seed(1), len(known)
    image, foreground, background = torch.rand(3, n, 3, 16, 16, generator=g)
    prediction, alpha = torch.rand(2, n, 1, 16, 16, generator=g)
    trimap = torch.full((n, 1, 16, 16), 0.5)
    trimap[..., :5], trimap[..., 11:] = 0.0, 1.0
    flags = torch.tensor([known, taught or [0.0] * n], dtype=torch.float32)
    weight = torch.rand(n, generator=g)
    agreement = torch.ones(n, 1, 1, 1)
    return prediction, MattingBatch(image, alpha, foreground, background, trimap, weight, *flags, trimap, agreement)


def test_each_sample_is_judged_by_its_own_terms_alone() -> None:
    prediction, batch = a_batch([1, 0, 1, 0], [0, 1, 0, 0])
    terms = named_terms(prediction, batch, NAMES, OPTIONS, semantic=1 - prediction)
    assert terms.keys() == {*NAMES, EXCESS}
    everywhere = {
        "l1": on_alpha.l1(prediction, batch.alpha),
        "laplacian": on_alpha.laplacian(prediction, batch.alpha),
        "gradient": on_alpha.gradient(prediction, batch.alpha),
        "composition": on_alpha.composition(prediction, batch.foreground, batch.background, batch.image),
        "semantic": on_alpha.semantic(1 - prediction, batch.alpha),  # by what the semantic head says, not the alpha
        "known": known_region(prediction, batch.trimap),
        "ddc": ddc(batch.image, prediction, batch.trimap, OPTIONS),
        "closed_form": unknown_l1(prediction, batch.alpha, batch.trimap),
    }
    applies = {name: [1, 0, 1, 0] for name in NAMES[:5]} | {"known": [0, 1, 0, 1], "ddc": [0, 1, 0, 1]}
    applies["closed_form"] = [0, 1, 0, 0]
    for name in NAMES:
        assert terms[name].applies.tolist() == applies[name]
        torch.testing.assert_close(terms[name].value, everywhere[name] * torch.tensor(applies[name]))
    above = (everywhere["ddc"] - floor(batch.image, batch.trimap, OPTIONS)) * batch.known_alpha.logical_not()
    torch.testing.assert_close(terms[EXCESS].value, above)


def test_no_sample_of_a_kind_no_value() -> None:
    prediction, batch = a_batch([1, 1])
    terms = named_terms(prediction, batch, NAMES, OPTIONS)
    assert all(terms[name].value.tolist() == [0, 0] for name in ("known", "ddc", "closed_form", EXCESS))


@pytest.mark.parametrize("variant", ["ddc", "scaled", "hinge"])
def test_a_constant_matte_has_no_excess(variant: str) -> None:
    prediction, batch = a_batch([0, 0])
    terms = named_terms(prediction * 0 + 0.3, batch, ["known", "ddc"], replace(OPTIONS, variant=variant))
    assert terms[EXCESS].value.abs().max() < 1e-6
    torch.testing.assert_close(terms["known"].value, torch.tensor([(5 * 0.3 + 5 * 0.7) / 10] * 2))


def test_the_alpha_of_a_sample_with_a_trimap_alone_means_nothing() -> None:
    gradients = []
    for other in (0.0, 1.0):
        prediction, batch = a_batch([1, 0])
        batch.alpha[1] = other
        prediction.requires_grad_()
        terms = named_terms(prediction, batch, NAMES, OPTIONS)
        sum(term.value.sum() for term in terms.values()).backward()
        gradients.append(prediction.grad)
    assert torch.equal(*gradients)
    assert gradients[0][1].abs().sum() > 0


def test_a_teacher_is_heard_in_the_unknown_region_only() -> None:
    prediction, truth = torch.zeros(1, 1, 2, 4), torch.tensor([[[[1.0, 0.5, 0.25, 1.0]] * 2]])
    trimap = torch.tensor([[[[0.0, 0.5, 0.5, 1.0]] * 2]])
    assert unknown_l1(prediction, truth, trimap).tolist() == [0.375]
    assert unknown_l1(prediction, truth, trimap.round()).tolist() == [0.0]
