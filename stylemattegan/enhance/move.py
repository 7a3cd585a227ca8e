"""Enhancement: a picture is moved along the generator's manifold to where a given matter mattes it easily.

"Self-supervised Matting-specific Portrait Enhancement and Generation" (arXiv 2208.06601) over W+ and, where a code has
one, the feature-space offset. The picture moves by the difference that the generator makes, x0 + C(w) - C(w0) with C
the cut-out over the picture's background: what an inversion missed stays as it was. Matter and networks stay as they
are. A move ends where an augmented view (mirrored, smaller) agrees best; the truth is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.sampling import generator_at
from stylemattegan.enhance.losses import Critic, Matte, Matter, entropy_map, masked_mean, outside_band
from stylemattegan.enhance.trust import distance, into_ball, within
from stylemattegan.inversion.code import Code, cutouts, demand_rgba, encoded, features, over
from stylemattegan.inversion.perceptual import Perceptual
from stylemattegan.latent_config import EnhanceConfig
from stylemattegan.networks.generator import Generator

VIEW_SCALE = 0.75
PROBES, PROBE_SIZE = 6, 0.3
"""Pairs of random moves by which a matter without gradients is asked, and their length in trust radii."""


class Scene(NamedTuple):
    """N pictures that a generator's cut-outs are part of."""

    picture: Tensor
    """(N, 3, H, W) in [0, 1]: what is moved."""
    background: Tensor
    """(N, 3, H, W): what is behind the subject."""
    window: Tensor | None = None
    """(N, 3): left, top and side in pixels of the square that the generator draws; None: the whole picture."""


class Figures(NamedTuple):
    """A picture's state, each (N,). Losses are without their weights."""

    adversarial: Tensor
    entropy: Tensor
    pixel: Tensor
    perceptual: Tensor
    view: Tensor
    """Entropy of the augmented view outside the band, and its mean difference from the plain alpha there."""


class Enhanced(NamedTuple):
    """N moved pictures."""

    code: Code
    picture: Tensor
    cutout: Tensor
    """(N, 4, R, R), `inversion.code.cutouts` of the moved code."""
    alpha: Tensor
    """(N, 1, H, W), the generator's, in the picture."""
    matte: Tensor
    """(N, 1, H, W), the matter's of the moved picture."""
    plain: Tensor
    """(N, 1, H, W), the matter's of the picture before."""
    before: Figures
    after: Figures
    move: Tensor
    """(N,): the largest move of a style over its own length; at most `trust`."""
    rmse: Tensor
    """(N,): at most `max_rmse`."""
    steps: Tensor
    """(N,): at which the picture was best."""


def scene_of(generator: Generator, code: Code, background: Tensor, straight: bool = False) -> Scene:
    """The generator's own pictures over backgrounds (N, 3, R, R)."""
    with torch.no_grad():
        return Scene(over(cutouts(encoded(generator, code), straight), background), background)


def enhance(
    generator: Generator,
    code: Code,
    scene: Scene,
    matter: Matter,
    perceptual: Perceptual,
    config: EnhanceConfig | None = None,
    *,
    critic: Critic | None = None,
    straight: bool = False,
    seed: int = 0,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Enhanced:
    """Move the pictures of `scene`, which `code` describes in `generator` (frozen, in eval mode).

    critic: of the adversarial loss; None: there is none. Raises WeightsError for a generator without alpha.
    """
    demand_rgba(generator)
    config = config or EnhanceConfig()
    mover = _Mover(generator, code.detached(), scene, matter, perceptual, config, critic, straight, seed)
    if config.weights.any():
        for step in track(range(1, config.steps + 1)):
            if not mover.active.any():
                break
            mover.step(step)
    return mover.result()


class _Mover:
    """N pictures on their way; those that are done wait at their best."""

    def __init__(
        self,
        generator: Generator,
        code: Code,
        scene: Scene,
        matter: Matter,
        perceptual: Perceptual,
        config: EnhanceConfig,
        critic: Critic | None,
        straight: bool,
        seed: int,
    ) -> None:
        self.generator, self.origin, self.scene, self.matter = generator, code, scene, matter
        self.perceptual, self.config, self.critic, self.straight, self.seed = perceptual, config, critic, straight, seed
        with torch.no_grad():
            start = self._cutout(code)
            self.base = over(self._placed(start), scene.background)
            self.mask = outside_band(self._placed(start)[:, 3:])
            self.seen = perceptual.of(scene.picture)
            self.plain = matter(scene.picture).alpha
            self.before = self.figures(scene.picture)
            unit = code.w.square().mean((1, 2), keepdim=True).sqrt()
            self.radius = config.trust * code.w.double().norm(dim=-1)
            self.offset_radius = None
            if code.offset is not None:
                self.offset_radius = config.trust * features(generator, code).flatten(1).double().norm(dim=-1)
        self.unit = unit
        self.move = torch.zeros_like(code.w, requires_grad=True)
        self.values = [self.move]
        if code.offset is not None:
            self.values.append(torch.zeros_like(code.offset, requires_grad=True))
        self.optimizer = torch.optim.Adam(self.values, lr=config.lr, betas=(0.9, 0.99))
        count = len(code.w)
        self.active = torch.ones(count, dtype=torch.bool, device=code.w.device)
        self.best_view, self.best, self.best_step = self.before.view.clone(), code, torch.zeros(count, dtype=torch.long)
        self.waited = torch.zeros(count, dtype=torch.long, device=code.w.device)

    def code(self) -> Code:
        w = self.origin.w + self.move * self.unit
        offset = self.origin.offset
        return self.origin._replace(w=w, offset=None if offset is None else offset + self.values[1])

    def picture(self, code: Code) -> Tensor:
        """x0 + C(w) - C(w0): at w0 the picture, bit for bit."""
        made = over(self._placed(self._cutout(code)), self.scene.background)
        return (self.scene.picture + (made - self.base)).clamp(0, 1)

    def step(self, number: int) -> None:
        """One step of Adam, then back into the trust region and under the bound; a look at the view now and then."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            objective = self._objective(self.picture(self.code()))
            objective.sum().backward()
        if not getattr(self.matter, "differentiable", True):
            self._probe(number)
        kept = [value.detach().clone() for value in self.values]
        self.optimizer.step()
        with torch.no_grad():
            self._project()
            for value, old in zip(self.values, kept, strict=True):
                value.copy_(_choose(self.active, value, old))
            if number % self.config.check == 0 or number == self.config.steps:
                self._look(number)

    def _objective(self, picture: Tensor) -> Tensor:
        """(N,): the weighted losses; of a matter without gradients those that do not need it."""
        weights, scene = self.config.weights, self.scene
        total = weights.pixel * (picture - scene.picture).square().mean((1, 2, 3))
        if weights.perceptual:
            total = total + weights.perceptual * self.perceptual.distance(self.perceptual.of(picture), self.seen)
        return total + self._matting(picture) if getattr(self.matter, "differentiable", True) else total

    def _matting(self, picture: Tensor) -> Tensor:
        weights = self.config.weights
        if not weights.entropy and not (weights.adversarial and self.critic):
            return picture.new_zeros(len(picture))
        matte = self.matter(picture)
        total = weights.entropy * masked_mean(entropy_map(matte), self.mask)
        return total + weights.adversarial * self._adversarial(picture, matte)

    def _adversarial(self, picture: Tensor, matte: Matte) -> Tensor:
        if self.critic is None or not self.config.weights.adversarial:
            return picture.new_zeros(len(picture))
        pair = self._cropped(torch.cat([picture, matte.alpha], 1))
        return F.softplus(-self.critic(pair[:, :3], pair[:, 3:]))

    def _probe(self, number: int) -> None:
        """Adds the gradient of a matter that has none: antithetic random moves (evolution strategies)."""
        drawn = generator_at("probe", self.seed, number)
        here = self.move.detach()
        size = PROBE_SIZE * self.config.trust
        for _ in range(PROBES):
            direction = torch.randn(len(here), 1, here.shape[2], generator=drawn).to(here)  # in W: the fewer the better
            gains = []
            with torch.no_grad():
                for sign in (1, -1):
                    self.move.copy_(here + sign * size * direction / here.shape[-1] ** 0.5)
                    gains.append(self._matting(self.picture(self.code())))
                self.move.copy_(here)
            slope = (gains[0] - gains[1]) / (2 * size)
            assert self.move.grad is not None
            self.move.grad += slope[:, None, None] * direction / PROBES

    def _project(self) -> None:
        origin = self.origin
        w = into_ball(origin.w + self.move * self.unit, origin.w, self.radius)
        offset = None
        if origin.offset is not None and self.offset_radius is not None:
            there = into_ball((origin.offset + self.values[1]).flatten(1), origin.offset.flatten(1), self.offset_radius)
            offset = there.view_as(origin.offset)

        def at(share: Tensor) -> Code:
            there = _between(origin.w, w, share)
            moved = None if offset is None else _between(origin.offset, offset, share)
            return origin._replace(w=there, offset=moved)

        share = within(lambda s: self.rmse(at(s)), self.config.max_rmse, len(w), w.device)
        self.now = at(share)
        self.move.copy_((self.now.w - origin.w) / self.unit)
        if self.now.offset is not None:
            self.values[1].copy_(self.now.offset - origin.offset)

    def rmse(self, code: Code) -> Tensor:
        """(N,) in float64."""
        gap = self.picture(code).double() - self.scene.picture.double()
        return gap.square().mean((1, 2, 3)).sqrt()

    def _look(self, number: int) -> None:
        view = self._view(self.picture(self.now))
        better = (view < self.best_view) & self.active
        found = [_choose(better, new, old) for new, old in zip(self.now[:3], self.best[:3], strict=True)]
        self.best = Code(*found, self.origin.layer)
        self.best_view = torch.where(better, view, self.best_view)
        self.best_step = torch.where(better.cpu(), number, self.best_step)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.active &= self.waited < self.config.patience

    def _view(self, picture: Tensor) -> Tensor:
        """How sure the matter is of the picture mirrored and smaller, and how far from what it says of it plain."""
        size = [max(8, round(VIEW_SCALE * side)) for side in picture.shape[-2:]]
        small = F.interpolate(picture.flip(-1), size=size, mode="bilinear", antialias=True, align_corners=False)
        seen = self.matter(small.clamp(0, 1))
        back = [_resized(each, picture.shape[-2:]).flip(-1) for each in (entropy_map(seen), seen.alpha)]
        plain = self.matter(picture).alpha
        return masked_mean(back[0], self.mask) + masked_mean((back[1] - plain).abs(), self.mask)

    @torch.no_grad()
    def figures(self, picture: Tensor) -> Figures:
        matte = self.matter(picture)
        return Figures(
            self._adversarial(picture, matte),
            masked_mean(entropy_map(matte), self.mask),
            (picture - self.scene.picture).square().mean((1, 2, 3)),
            self.perceptual.distance(self.perceptual.of(picture), self.seen),
            self._view(picture),
        )

    @torch.no_grad()
    def result(self) -> Enhanced:
        code, origin = self.best, self.origin
        picture, cutout = self.picture(code), self._cutout(code)
        move = distance(code.w, origin.w) / origin.w.double().norm(dim=-1).clamp_min(1e-30)
        return Enhanced(
            code=code,
            picture=picture,
            cutout=cutout,
            alpha=self._placed(cutout)[:, 3:],
            matte=self.matter(picture).alpha,
            plain=self.plain,
            before=self.before,
            after=self.figures(picture),
            move=move.amax(1),
            rmse=self.rmse(code),
            steps=self.best_step,
        )

    def _cutout(self, code: Code) -> Tensor:
        return cutouts(encoded(self.generator, code), self.straight)

    def _placed(self, cutout: Tensor) -> Tensor:
        """The cut-out where it is in the picture; transparent around it."""
        window, size = self.scene.window, self.scene.picture.shape[-2:]
        if window is None:
            return cutout if cutout.shape[-2:] == size else _resized(cutout, size)
        height, width = size
        side = window[:, 2]
        scale = torch.stack([width / side, height / side], 1)
        middle = torch.stack([width / 2 - window[:, 0], height / 2 - window[:, 1]], 1) * 2 / side[:, None] - 1
        return _sampled(cutout, scale, middle, size)

    def _cropped(self, planes: Tensor) -> Tensor:
        """What of the picture the generator draws, (N, C, R, R)."""
        side, window = self.generator.img_resolution, self.scene.window
        if window is None:
            return planes
        height, width = planes.shape[-2:]
        size = torch.tensor([width, height], device=planes.device)
        middle = (window[:, :2] + window[:, 2:] / 2) * 2 / size - 1
        return _sampled(planes, window[:, 2:] / size, middle, (side, side))


def _sampled(planes: Tensor, scale: Tensor, middle: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear; scale and middle (N, 2) in x and y map the output's [-1, 1] to the input's; zero outside."""
    theta = torch.cat([torch.diag_embed(scale), middle[:, :, None]], 2).to(planes.dtype)
    grid = F.affine_grid(theta, [len(planes), planes.shape[1], *size], align_corners=False)
    return F.grid_sample(planes, grid, align_corners=False)


def _resized(planes: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(planes, size=tuple(size), mode="bilinear", antialias=True, align_corners=False)


def _between(here: Tensor, there: Tensor, share: Tensor) -> Tensor:
    """here for share 0, there for share 1, bit for bit."""
    share = share.view(-1, *[1] * (here.ndim - 1))
    return torch.where(share == 1, there, here + share * (there - here))


def _choose(rows: Tensor, new: Tensor | None, old: Tensor | None) -> Tensor | None:
    if new is None or old is None:
        return None
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)
