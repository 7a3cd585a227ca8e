"""The composite discriminator: beside D, one that sees cut-outs over real backgrounds, where alpha counts.

D sees encoded RGBA; this one real cut-outs (with their estimated foreground) and generated ones, each over other
backgrounds, drawn by position. Pictures are not augmented by ADA on the way, as in vision-aided training (Kumari et
al., arXiv 2112.09130): the backgrounds already differ each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stylematte.errors import WeightsError
from stylematte.sampling import position_seed
from stylematte.untrusted import files
from stylematte.untrusted.filling import demand_numbers, differing
from stylemattegan.config import CompositeDiscriminatorConfig, CompositeDiscriminatorKind, GeneratorNetworkConfig
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.projected import ProjectedDiscriminator
from stylemattegan.training import losses
from stylemattegan.training.composites import Backgrounds, composite_encoded
from stylemattegan.training.regularizers import lazy_adam
from stylemattegan.training.terms import Auxiliary, Position, Term, Update

FILE = "D2.safetensors"


def build_network(
    config: CompositeDiscriminatorConfig,
    network: GeneratorNetworkConfig,
    resolution: int,
    seed: int,
    backbone: Any = None,
) -> nn.Module:
    """The trained part with weights that depend on the seed alone, as wide as `network` makes the first discriminator.

    backbone: of kind projected, a frozen module with `channels` and `stride`; it sees pictures of config.input_size, or
    if that is 0 of `resolution` rounded up to its stride.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "second weights"))  # a seed: another word, other weights
        if config.kind is CompositeDiscriminatorKind.composite:
            widths = {"channel_base": network.d_channel_base, "channel_max": network.d_channel_max}
            return Discriminator(img_resolution=resolution, img_channels=3, **widths)
        size = config.input_size or -(-resolution // backbone.stride) * backbone.stride
        return ProjectedDiscriminator(backbone, backbone.channels, size, width=network.d_channel_max)


class CompositeDiscriminator(Auxiliary):
    """The network, the backgrounds and their order, its logistic loss and its R1.

    r1_every: steps between two R1 penalties. batch: the global one. previous: folder of an earlier fit; what its
    composite discriminator learned goes on if it was built alike, and then the weight does not rise anew.
    """

    learns = True

    def __init__(
        self,
        network: nn.Module,
        backgrounds: Backgrounds,
        config: CompositeDiscriminatorConfig,
        *,
        r1_every: int,
        batch: int,
        seed: int,
        previous: Path | None = None,
    ) -> None:
        super().__init__()
        self.network, self.backgrounds = network, backgrounds
        self.weight, self.r1_gamma, self.r1_every = config.weight, config.r1_gamma, r1_every
        self.batch, self.seed = batch, seed
        goes_on = previous is not None and load_composite_discriminator(previous, network)
        self.warmup = 0.0 if goes_on else config.warmup_kimg * 1000
        """Pictures over which the weight rises from 0."""

    def _pictures(self, encoded: Tensor, phase: str, step: int) -> Tensor:
        behind = self.backgrounds.behind(encoded, self.batch, self.seed, "background", phase, step)
        return composite_encoded(encoded, behind)

    def _entries(self, pictures: Tensor) -> list[Tensor]:
        """What R1 is taken at: the pictures, or the features of a frozen backbone (it has no second derivatives)."""
        return self.network.maps(pictures) if isinstance(self.network, ProjectedDiscriminator) else [pictures]

    def _score(self, entries: Sequence[Tensor]) -> Tensor:
        projected = isinstance(self.network, ProjectedDiscriminator)
        return self.network.score(entries) if projected else self.network(entries[0])

    def optimizer(self, lr: float) -> torch.optim.Optimizer:
        return lazy_adam(self.network.parameters(), lr, [self.r1_every] if self.r1_gamma > 0 else [])

    def generator_terms(self, fake: Tensor, real: Tensor, at: Position) -> list[Term]:
        """Its verdict on the generated pictures, with a graph to `fake` (n, 4, R, R) and none to this network."""
        self.requires_grad_(False)
        rising = min(1.0, at.shown / self.warmup) if self.warmup > 0 else 1.0
        logits = self._score(self._entries(self._pictures(fake, "G", at.step)))
        return [Term(losses.logistic_g(logits).mean(), self.weight * rising)]

    def learn(self, update: Update, optimizer: Any, real: Tensor, fake: Tensor, at: Position) -> dict[str, Tensor]:
        """One step of this network, two with R1; D2/loss and D2/r1."""
        self.requires_grad_(True)
        with torch.no_grad():
            made = self._entries(self._pictures(fake, "fake", at.step))
            true = self._entries(self._pictures(real, "real", at.step))
        loss = losses.logistic_d_fake(self._score(made)).mean() + losses.logistic_d_real(self._score(true)).mean()
        update(optimizer, self.network.parameters(), loss)
        terms = {"D2/loss": loss.detach()}
        if self.r1_gamma > 0 and at.step % self.r1_every == 0:
            penalty = r1_at(true, self._score).mean()
            update(optimizer, self.network.parameters(), penalty * (self.r1_gamma / 2 * self.r1_every))
            terms["D2/r1"] = penalty.detach()
        return terms

    def save(self, folder: Path) -> None:
        """Write D2.safetensors beside G and D: the trained part, with what it was built as."""
        state = {key: value.detach().cpu().contiguous() for key, value in self.network.state_dict().items()}
        save_file(state, Path(folder) / FILE, metadata={"config": _described(self.network)})


def r1_at(entries: Sequence[Tensor], score: Callable[[Sequence[Tensor]], Tensor]) -> Tensor:
    """sum over entries of ||d sum(logits) / d entry||^2 per sample, (N,), with a graph. Multiply by gamma / 2."""
    entries = [entry.detach().requires_grad_() for entry in entries]
    gradients = torch.autograd.grad(score(entries).sum(), entries, create_graph=True)
    return torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients]).sum(0)


def load_composite_discriminator(folder: Path, network: nn.Module) -> bool:
    """Fill `network` from an earlier fit's D2.safetensors; False, and nothing done, where there is none built alike.

    Raises WeightsError if the file cannot be read, or says that it was built alike and holds something else.
    """
    path = Path(folder) / FILE
    if not path.exists() or files.read_metadata(path).get("config") != _described(network):
        return False
    tensors, wanted = files.read_safetensors(path), network.state_dict()
    wrong = differing(wanted, tensors)
    if wrong is not None:
        raise WeightsError(f"{path}: {wrong}")
    try:
        demand_numbers(wanted, tensors)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    network.load_state_dict(tensors)
    return True


def _described(network: nn.Module) -> str:
    return json.dumps(network.config, sort_keys=True)
