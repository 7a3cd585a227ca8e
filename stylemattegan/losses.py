"""The losses of StyleGAN: non-saturating logistic (Goodfellow et al. 2014) and R1 (Mescheder et al. 2018, eq. 9).

Each returns one number per sample, (N,). Logits are (N, 1) or (N,).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def logistic_g(fake_logits: Tensor) -> Tensor:
    """Generator: -log sigmoid(D(G(z)))."""
    return F.softplus(-fake_logits).flatten()


def logistic_d_fake(fake_logits: Tensor) -> Tensor:
    """Discriminator on generated pictures: -log(1 - sigmoid(D(G(z))))."""
    return F.softplus(fake_logits).flatten()


def logistic_d_real(real_logits: Tensor) -> Tensor:
    """Discriminator on real pictures: -log sigmoid(D(x))."""
    return F.softplus(-real_logits).flatten()


def r1_penalty(images: Tensor, logits: Tensor) -> Tensor:
    """||d sum(logits) / d images||^2 per sample, with a graph for its own gradient. Multiply by gamma / 2.

    `images` must require grad and `logits` depend on them; augmentation between the two is differentiated through.
    """
    if not images.requires_grad:
        raise ValueError("r1_penalty needs images with requires_grad: call images.requires_grad_() before D")
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)
