"""Loss terms of G and D: logistic and relativistic adversarial losses, D's gradient penalties, G's path lengths.

`logistic`: non-saturating (Goodfellow et al. 2014). `relativistic`: each generated picture against a real one
(RpGAN, Jolicoeur-Martineau 2019), as R3GAN plays it with R1 and R2 (Huang et al. 2024).
Adversarial terms return one number per logit, flat: (N,) of logits (N, 1), (N k,) of those (N, k) of k heads. Penalties
and path lengths return one number per sample, (N,).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def logistic_g(fake_logits: Float[Tensor, "n ..."]) -> Float[Tensor, " logits"]:
    """Generator: -log sigmoid(D(G(z)))."""
    return F.softplus(-fake_logits).flatten()


def logistic_d_fake(fake_logits: Float[Tensor, "n ..."]) -> Float[Tensor, " logits"]:
    """Discriminator on generated pictures: -log(1 - sigmoid(D(G(z))))."""
    return F.softplus(fake_logits).flatten()


def logistic_d_real(real_logits: Float[Tensor, "n ..."]) -> Float[Tensor, " logits"]:
    """Discriminator on real pictures: -log sigmoid(D(x))."""
    return F.softplus(-real_logits).flatten()


def relativistic_g(
    fake_logits: Float[Tensor, "n ..."], real_logits: Float[Tensor, "n ..."]
) -> Float[Tensor, " logits"]:
    """Generator: -log sigmoid(D(G(z)) - D(x)), sample n of one against sample n of the other."""
    return F.softplus(real_logits - fake_logits).flatten()


def relativistic_d(
    fake_logits: Float[Tensor, "n ..."], real_logits: Float[Tensor, "n ..."]
) -> Float[Tensor, " logits"]:
    """Discriminator: -log sigmoid(D(x) - D(G(z))). Only differences count: the level of the logits is free."""
    return F.softplus(fake_logits - real_logits).flatten()


def r1_penalty(images: Float[Tensor, "n ..."], logits: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """||d sum(logits) / d images||^2 per sample, with a graph for its own gradient. Multiply by gamma / 2.

    R1 on real pictures (Mescheder et al. 2018, eq. 9); the same on generated ones is R2 (eq. 10). `images` must
    require grad and `logits` depend on them; augmentation between the two is differentiated through.
    """
    if not images.requires_grad:
        raise ValueError("r1_penalty needs images with requires_grad: call images.requires_grad_() before D")
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def path_lengths(
    images: Float[Tensor, "n c h w"], ws: Float[Tensor, "n l w_dim"], noise: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """|J_w' y| / sqrt(H W): how far a picture moves for a step in w (Karras et al. 2020, "Analyzing", eq. 4).

    images (N, C, H, W) made of ws (N, L, w_dim), which require grad; noise like images, standard normal. The L layers'
    gradients enter by their mean square. With a graph for its own gradient.
    """
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / (height * width) ** 0.5, ws, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
