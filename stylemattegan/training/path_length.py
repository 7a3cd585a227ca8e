"""Path length regularisation of G: a step in w should move the picture equally far everywhere (Karras et al. 2020,
"Analyzing and improving the image quality of StyleGAN", eq. 4)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from stylematte import distributed
from stylemattegan.training import draws, losses
from stylemattegan.training.regularizers import LazyRegularizer, Players
from stylemattegan.training.terms import Term


class PathLength(LazyRegularizer):
    """weight * E(|J_w' y| - a)^2 with y standard normal and a the running mean of the lengths.

    shrink: it is measured on a batch so many times smaller. decay: how fast a follows, a <- a + decay (mean - a); it
    starts from the first mean (from 0 it would pull all lengths to 0 at first).
    """

    network = "G"

    def __init__(self, weight: float, every: int, shrink: int, decay: float) -> None:
        self.weight, self.every, self.shrink, self.decay = weight, every, shrink, decay
        self.mean: Tensor | None = None
        """a, a scalar; None before the first step."""

    def terms(self, players: Players, real: Tensor) -> list[Term]:
        count = players.batch // self.shrink
        ws = players.styles("path", count)
        images = players.G.synthesis(ws)
        noise = draws.normal((count, *images.shape[1:]), players.seed, "path noise", players.step).to(images)
        lengths = losses.path_lengths(images, ws, noise)
        mean = distributed.mean_over_ranks(lengths.mean())
        self.mean = mean if self.mean is None else self.mean.to(mean).lerp(mean, self.decay)
        penalty = (lengths - self.mean).square().mean()
        return [Term(penalty, self.weight * self.every, "G/path"), Term(self.mean, 0.0, "G/path_mean")]

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]
