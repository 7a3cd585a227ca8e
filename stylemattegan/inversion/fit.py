"""Inversion: the code of given pictures in a generator, by optimisation in W, W+ and feature space.

Image2StyleGAN (Abdal et al. 2019) with the losses of arXiv 2208.06601, section "inversion": perceptual distance and
squared error, and |alpha| because our generator has one. Three phases: W with the pose; W+ with the pose; the offset
alone, for which the layers before it are computed once and no graph is kept of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from stylemattegan.inversion.code import Code, code_of, cutouts, demand_rgba, encoded, features, over
from stylemattegan.inversion.perceptual import Perceptual
from stylemattegan.inversion.targets import Targets
from stylemattegan.latent_config import InvertConfig
from stylemattegan.networks.generator import Generator
from stylemattegan.sample import latents

Track = Callable[[Iterable[int]], Iterable[int]]
GREY = 0.5
WORLD_PAIRS, WORLD_BATCH = 32, 4


class Inverted(NamedTuple):
    """Codes of N pictures and how well they give them back, each (N,)."""

    code: Code
    initial: Tensor
    """Loss at the start."""
    final: Tensor
    psnr: Tensor
    """dB, over grey."""
    distance: Tensor
    """Perceptual, over grey."""
    alpha_sad: Tensor
    """Sum of |alpha - alpha| in thousands of pixels."""
    limit: float
    """`distance` above it: outside the generator's world."""

    def in_world(self) -> list[bool]:
        return [value <= self.limit for value in self.distance.tolist()]


def invert(
    generator: Generator,
    targets: Targets,
    perceptual: Perceptual,
    config: InvertConfig | None = None,
    *,
    straight: bool = False,
    seed: int = 0,
    track: Track = iter,
) -> Inverted:
    """The codes of `targets` in the generator: frozen, in eval mode, unconditional.

    straight: how its four channels are read (`stylemattegan.sample.shown`). track: is handed the steps. A picture's
    result depends on the others of its batch by rounding alone. Raises WeightsError for a generator without alpha.
    """
    demand_rgba(generator)
    config = config or InvertConfig()
    fit = _Fit(generator, targets, perceptual, config, straight)
    code = _start(fit, seed)
    with torch.no_grad():
        initial = fit.losses(code)
    steps = list(track(range(config.steps + config.offset_steps)))
    code = fit.styles(code, steps[: config.steps])
    if config.offset_steps:
        code = fit.offset(code, steps[config.steps :])
    with torch.no_grad():
        psnr, distance, sad = fit.figures(code)
        return Inverted(code, initial, fit.losses(code), psnr, distance, sad, config.max_distance * world(fit))


class _Fit:
    """What all phases share: the generator, the features of the targets, the loss of each picture."""

    def __init__(
        self, generator: Generator, targets: Targets, perceptual: Perceptual, config: InvertConfig, straight: bool
    ) -> None:
        self.generator, self.targets, self.perceptual, self.config = generator, targets, perceptual, config
        self.straight = straight
        with torch.no_grad():
            self.seen = perceptual.of(self.shown(targets.cutout))

    def shown(self, cutout: Tensor) -> Tensor:
        """Over grey; outside the picture, where nobody knows, everything is grey."""
        return over(cutout * self.targets.inside, GREY)

    def render(self, code: Code, upto: Tensor | None = None) -> Tensor:
        return cutouts(encoded(self.generator, code, upto), self.straight)

    def losses(self, code: Code, upto: Tensor | None = None, tile: int = 1) -> Tensor:
        """(N,) of the code's pictures. tile: the targets' pictures repeat so often in the code."""
        made = self.render(code, upto)
        inside, cutout = self.targets.inside.repeat(tile, 1, 1, 1), self.targets.cutout.repeat(tile, 1, 1, 1)
        gap = (made - cutout) * inside
        pixel = (gap[:, :3] / 2).square().mean((1, 2, 3))
        alpha = gap[:, 3:].abs().mean((1, 2, 3))
        looks = self.perceptual.distance(
            self.perceptual.of(over(made * inside, GREY)), [seen.repeat(tile, 1, 1, 1) for seen in self.seen]
        )
        config = self.config
        return config.pixel * pixel + config.perceptual * looks + config.alpha * alpha

    def figures(self, code: Code) -> tuple[Tensor, Tensor, Tensor]:
        """PSNR, perceptual distance and alpha SAD, each (N,)."""
        made = self.render(code)
        seen, wanted = self.shown(made), self.shown(self.targets.cutout)
        psnr = -10 * (seen - wanted).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
        gap = (made[:, 3] - self.targets.cutout[:, 3]) * self.targets.inside[:, 0]
        return psnr, self.perceptual.distance(self.perceptual.of(seen), self.seen), gap.abs().sum((1, 2)) / 1000

    def styles(self, code: Code, steps: list[int]) -> Code:
        """W for a third of the steps, then W+; the pose in both. The best code met on the way, picture by picture."""
        in_w = len(steps) // 3
        w = code.w.mean(1, keepdim=True).clone()
        pose = code.pose.clone().requires_grad_(self.config.pose)
        best = _Best(code.detached(), self.losses(code).detach() if steps else None)
        for first, last, wide in ((0, in_w, False), (in_w, len(steps), True)):
            w = (best.code.w if wide else w).detach().clone().requires_grad_()
            groups = [{"params": [w], "rate": self.config.lr}]
            groups += [{"params": [pose], "rate": self.config.lr / 10}] if self.config.pose else []
            optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
            for step in range(first, last):
                _set_rates(optimizer, _ramp(step, len(steps)))
                now = Code(w.expand(-1, self.generator.num_ws, -1), pose)
                losses = self.losses(now)
                best.meet(now, losses)
                _step(optimizer, losses)
        return best.code

    def offset(self, code: Code, steps: list[int]) -> Code:
        """The offset alone: the layers before it are computed once."""
        layer = _offset_layer(self.generator, self.config.offset_layer)
        code = code._replace(layer=layer)
        with torch.no_grad():
            upto = features(self.generator, code)
        unit = upto.square().mean((1, 2, 3)).sqrt().view(-1, 1, 1, 1)
        moved = torch.zeros_like(upto, dtype=torch.float32).requires_grad_()
        optimizer = torch.optim.Adam([{"params": [moved], "rate": self.config.lr}], betas=(0.9, 0.99))
        best = _Best(code._replace(offset=moved.detach().clone()), self.losses(code).detach())
        for step in range(len(steps)):
            _set_rates(optimizer, _ramp(step, len(steps)))
            now = code._replace(offset=moved * unit)
            losses = self.losses(now, upto)
            best.meet(now, losses)
            _step(optimizer, losses + self.config.offset_weight * moved.square().mean((1, 2, 3)))
        return best.code


class _Best:
    """Of each picture the code with the lowest loss so far."""

    def __init__(self, code: Code, losses: Tensor | None) -> None:
        self.code, self.losses = code, losses

    def meet(self, code: Code, losses: Tensor) -> None:
        if self.losses is None:
            self.code, self.losses = code.detached(), losses.detach()
            return
        better = losses.detach() < self.losses
        self.losses = torch.where(better, losses.detach(), self.losses)
        self.code = Code(
            *(_where(better, new, old) for new, old in zip(code[:3], self.code[:3], strict=True)), code.layer
        )


def _where(better: Tensor, new: Tensor | None, old: Tensor | None) -> Tensor | None:
    if new is None or old is None:
        return None if new is None else new.detach().clone()
    return torch.where(better.view(-1, *[1] * (new.ndim - 1)), new.detach(), old)


def _start(fit: _Fit, seed: int) -> Code:
    """The mean style, or the best of some samples for each picture."""
    generator, count = fit.generator, len(fit.targets.cutout)
    mean = generator.mapping.w_avg.expand(1, generator.num_ws, -1)
    with torch.no_grad():
        candidates = [mean]
        if fit.config.samples:
            z = latents(range(seed, seed + fit.config.samples), generator.z_dim).to(mean.device)
            candidates += list(generator.mapping(z, psi=0.7)[:, None].unbind(0))
        found = torch.stack([fit.losses(code_of(w.expand(count, -1, -1))) for w in candidates])
        return code_of(torch.cat(candidates)[found.argmin(0)])


def world(fit: _Fit) -> float:
    """Mean perceptual distance of two of the generator's own pictures over grey."""
    generator = fit.generator
    with torch.no_grad():
        z = latents(range(2 * WORLD_PAIRS), generator.z_dim).to(generator.mapping.w_avg.device)
        halves = zip(*(half.split(WORLD_BATCH) for half in generator.mapping(z).chunk(2)), strict=True)
        found = []
        for pair in halves:
            one, other = (fit.perceptual.of(over(fit.render(code_of(w)), GREY)) for w in pair)
            found.append(fit.perceptual.distance(one, other))
        return float(torch.cat(found).mean())


def _offset_layer(generator: Generator, asked: int | None) -> int:
    """Behind which the offset is added: as asked, or the last layer at half the picture's size or less."""
    names = generator.synthesis.layer_names
    if asked is not None:
        return min(asked, len(names) - 2)
    rates = [getattr(generator.synthesis, name).plan.target.rate for name in names[:-1]]
    half = [index for index, rate in enumerate(rates) if rate <= generator.img_resolution / 2]
    return half[-1] if half else 0


def _ramp(step: int, steps: int) -> float:
    """Rises over the first 5 %, falls to 1/20 on a cosine."""
    rise = min(1.0, (step + 1) / max(1, 0.05 * steps))
    return rise * (0.525 + 0.475 * math.cos(math.pi * step / max(1, steps)))


def _set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * factor


def _step(optimizer: torch.optim.Optimizer, losses: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()
    optimizer.step()
