"""The second discriminator: it sees cut-outs composited over real backgrounds, where alpha has to be right.

Beside the first one, which sees encoded RGBA: real cut-outs (with their estimated foreground) and generated ones, each
over other backgrounds, drawn by position. Pictures are not augmented by ADA on the way, as in vision-aided training:
the backgrounds already differ each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from stylematte.sampling import position_seed
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.projected import ProjectedDiscriminator
from stylemattegan.training import losses
from stylemattegan.training.composites import Backgrounds, composite_encoded
from stylemattegan.training.lr_schedule import lazy_adam

FILE = "D2.safetensors"
Update = Callable[[Any, Any, Tensor], None]
"""(optimizer, parameters, loss): one step."""


def build_network(
    kind: str, resolution: int, seed: int, channels: Mapping[str, int], backbone: Any = None, input_size: int = 0
) -> nn.Module:
    """The trained part with weights that depend on the seed alone.

    kind: composite (a residual discriminator; channels: its channel_base and channel_max) or projected (heads on
    `backbone`, a frozen module with `channels` and `stride`, which sees pictures of input_size, 0: their own).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "second weights"))
        if kind == "composite":
            return Discriminator(img_resolution=resolution, img_channels=3, **channels)
        size = input_size or -(-resolution // backbone.stride) * backbone.stride
        return ProjectedDiscriminator(backbone, backbone.channels, size, width=channels["channel_max"])


class CompositeDiscriminator(nn.Module):
    """The network, the backgrounds and their order, its loss and R1. `weight`: of what it tells the generator.

    batch: the global one. former: folder of a former fit; what it learned goes on if it was built alike, and then its
    weight does not rise anew. warmup: pictures over which the weight rises from 0.
    """

    def __init__(
        self,
        network: nn.Module,
        backgrounds: Backgrounds,
        *,
        weight: float,
        warmup: float,
        r1_gamma: float,
        r1_every: int,
        batch: int,
        seed: int,
        former: Path | None = None,
    ) -> None:
        super().__init__()
        self.network, self.backgrounds = network, backgrounds
        self.weight, self.r1_gamma, self.r1_every = weight, r1_gamma, r1_every
        self.batch, self.seed = batch, seed
        self.warmup = 0.0 if former is not None and load_composite_discriminator(former, network) else warmup

    def _pictures(self, encoded: Tensor, phase: str, step: int) -> Tensor:
        behind = self.backgrounds.behind(encoded, self.batch, self.seed, "background", phase, step)
        return composite_encoded(encoded, behind)

    def _entries(self, pictures: Tensor) -> list[Tensor]:
        """What R1 is taken at: the pictures, or the features of a frozen backbone (it has no second derivatives)."""
        return self.network.maps(pictures) if isinstance(self.network, ProjectedDiscriminator) else [pictures]

    def _judge(self, entries: Sequence[Tensor]) -> Tensor:
        projected = isinstance(self.network, ProjectedDiscriminator)
        return self.network.judge(entries) if projected else self.network(entries[0])

    def optimizer(self, lr: float) -> torch.optim.Optimizer:
        return lazy_adam(self.network.parameters(), lr, self.r1_every if self.r1_gamma > 0 else 0)

    def generator_loss(self, fake: Tensor, step: int, shown: int) -> Tensor:
        """To be added to the generator's: weighted, with a graph to `fake` (n, 4, R, R) and none to this network."""
        self.requires_grad_(False)
        rising = min(1.0, shown / self.warmup) if self.warmup > 0 else 1.0
        logits = self._judge(self._entries(self._pictures(fake, "G", step)))
        return losses.logistic_g(logits).mean() * (self.weight * rising)

    def learn(self, update: Update, optimizer: Any, real: Tensor, fake: Tensor, step: int) -> dict[str, Tensor]:
        """One step of this network (two with R1) on encoded cut-outs (n, 4, R, R); its terms by their logged names."""
        self.requires_grad_(True)
        with torch.no_grad():
            drawn = self._entries(self._pictures(fake, "fake", step))
            true = self._entries(self._pictures(real, "real", step))
        told = losses.logistic_d_fake(self._judge(drawn)).mean() + losses.logistic_d_real(self._judge(true)).mean()
        update(optimizer, self.network.parameters(), told)
        terms = {"D2/loss": told.detach()}
        if self.r1_gamma > 0 and step % self.r1_every == 0:
            penalty = r1_at(true, self._judge).mean()
            update(optimizer, self.network.parameters(), penalty * (self.r1_gamma / 2 * self.r1_every))
            terms["D2/r1"] = penalty.detach()
        return terms

    def save(self, folder: Path) -> None:
        """Write D2.safetensors beside G and D: the trained part, with what it was built as."""
        state = {key: value.detach().cpu().contiguous() for key, value in self.network.state_dict().items()}
        save_file(state, Path(folder) / FILE, metadata={"config": _described(self.network)})


def r1_at(entries: Sequence[Tensor], judge: Callable[[Sequence[Tensor]], Tensor]) -> Tensor:
    """sum over entries of ||d sum(logits) / d entry||^2 per sample, (N,), with a graph. Multiply by gamma / 2."""
    entries = [entry.detach().requires_grad_() for entry in entries]
    gradients = torch.autograd.grad(judge(entries).sum(), entries, create_graph=True)
    return torch.stack([gradient.square().flatten(1).sum(1) for gradient in gradients]).sum(0)


def load_composite_discriminator(folder: Path, network: nn.Module) -> bool:
    """Fill `network` from a former fit's D2.safetensors; False, and nothing done, where there is none built alike.

    Raises ValueError if the file cannot be read.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("config") != _described(network):
                return False
            network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return True


def _described(network: nn.Module) -> str:
    return json.dumps(network.config, sort_keys=True)
