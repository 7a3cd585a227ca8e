"""One training step of the generator: G, D, and every few steps R1, with ADA, EMA and counts in pictures.

Everything random is a function of (seed, phase, step) and drawn for the global batch, of which a rank takes its rows:
a resumed fit equals the unbroken one, and N processes equal one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from stylematte import ranks
from stylematte.sampling import generator_at, position_seed
from stylemattegan import augment, losses
from stylemattegan.ema import AdaController, ema_beta, update_ema
from stylemattegan.networks.discriminator import Discriminator
from stylemattegan.networks.generator import Generator
from stylemattegan.ops.allocator import keep_big_blocks

DECAYS = ("magnitude_ema_beta", "w_avg_beta")
LR_FLOOR = 0.02
CHECK_EVERY = 4
"""Steps between looks at the loss terms on a GPU, where each look waits for the device."""


class Diverged(RuntimeError):
    """A loss term is no longer a finite number; the message names the term and the step."""


def learning_rate_factor(step: int, steps: int, warmup: int, decay: float) -> float:
    """A function of the step alone: linear from 1/warmup to 1, and at the end of the fit half a cosine down to 1/50.

    warmup: steps. decay: the share of the fit's `steps`, at its end, in which the rate falls; 0 = it never does.
    """
    rising = min(1.0, (step + 1) / max(warmup, 1))
    start = steps * (1 - decay)
    if step <= start or not decay:
        return rising
    falling = 0.5 * (1 + math.cos(math.pi * (step - start) / (steps - start)))
    return rising * (LR_FLOOR + (1 - LR_FLOOR) * falling)


def build(network: dict[str, Any], resolution: int, batch: int, seed: int) -> tuple[Generator, Discriminator]:
    """G and D with weights that depend on the seed alone. network: fields of GeneratorNetworkConfig."""
    kwargs = dict(network)
    d_kwargs = {name: kwargs.pop(f"d_{name}") for name in ("channel_base", "channel_max")}
    # The half-life in pictures becomes a decay per step.
    kwargs["magnitude_ema_beta"] = 0.5 ** (batch / kwargs.pop("magnitude_ema_nimg"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "generator weights"))
        generator = Generator(img_resolution=resolution, img_channels=4, **kwargs)
        return generator, Discriminator(img_resolution=resolution, img_channels=4, **d_kwargs)


def load_former(
    folder: str, generator: Generator, discriminator: Discriminator
) -> tuple[Generator, Discriminator, Generator, dict[str, Any]]:
    """G, D, G_ema and meta of a former fit, with the present decays of their running means.

    Raises ValueError if they were built otherwise than `generator` and `discriminator`.
    """
    from stylemattegan.networks.weights import load_all

    g, d, g_ema, meta = load_all(Path(folder))
    for name, old, new in (("generator", g, generator), ("discriminator", d, discriminator)):
        for key, value in new.config.items():
            if key not in DECAYS and old.config.get(key, value) != value:
                raise ValueError(
                    f"{folder}: {name} was built with {key}={old.config[key]}, the configuration says {value}: "
                    "use the former value or start without it"
                )
    for network in (g, g_ema):
        for decay in DECAYS:
            network.config[decay] = generator.config[decay]
            for layer in network.modules():
                if hasattr(layer, decay):
                    setattr(layer, decay, generator.config[decay])
    return g, d, g_ema, meta


class GeneratorModule(pl.LightningModule):
    """Trains G against D on batches (n, 4, R, R) of encoded RGBA.

    network, fit: fields of GeneratorNetworkConfig and GeneratorFitConfig. fit["batch"] is the global batch.
    init_from: folder with the generator of a former round to go on from.
    Logs G/loss, D/loss, D/r1, D/sign_real, ada/p, kimg. Raises Diverged.
    """

    def __init__(
        self, network: dict[str, Any], fit: dict[str, Any], resolution: int, seed: int, init_from: str | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        keep_big_blocks()
        self.fit, self.seed, self.batch = fit, seed, int(fit["batch"])
        self.G, self.D = build(network, resolution, self.batch, seed)
        start_p = fit["augment_p"]
        if init_from is None:
            self.G_ema = copy.deepcopy(self.G)
        else:
            self.G, self.D, self.G_ema, former = load_former(init_from, self.G, self.D)
            start_p = max(start_p, former.get("augment_p", 0.0))
        self.G_ema.requires_grad_(False).eval()
        self.rampup = fit["ema_rampup"] if init_from is None else None
        self.rate = 1.0 if init_from is None else fit.get("later_lr", 1.0)
        self.ada = AdaController(start_p, fit["ada_target"], fit["ada_kimg"], fit["augment_max"])
        self.step, self.shown = 0, 0
        """Steps made, and real pictures shown (over all ranks). Lightning's global_step counts both optimizers."""
        self._unchecked: list[tuple[str, int, Tensor]] = []

    @property
    def r1_every(self) -> int:
        """Steps between two R1 penalties; 0 = never."""
        return int(self.fit["r1_every"]) if self.fit["r1_gamma"] > 0 else 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for G and D. An extra R1 step every k steps makes k + 1 of k: D's lr and beta are corrected for it."""
        ratio = self.r1_every / (self.r1_every + 1) if self.r1_every else 1.0
        g_adam = torch.optim.Adam(self.G.parameters(), lr=self.fit["glr"] * self.rate, betas=(0.0, 0.99), fused=True)
        dlr = self.fit["dlr"] * self.rate * ratio
        d_adam = torch.optim.Adam(self.D.parameters(), lr=dlr, betas=(0.0, 0.99**ratio), fused=True)
        return [g_adam, d_adam]

    def on_fit_start(self) -> None:
        ranks.broadcast_module(self)

    def _latents(self, phase: str) -> Tensor:
        generator = generator_at(self.seed, "z", phase, self.step)
        z = torch.randn(self.batch, self.G.z_dim, generator=generator)
        return ranks.mine(z).to(self.device)

    def _augment(self, pictures: Tensor, phase: str) -> Tensor:
        if self.ada.p <= 0:
            return pictures
        generator = generator_at(self.seed, "augment", phase, self.step)
        drawn = augment.draw_parameters(self.batch, self.ada.p, generator)
        with torch.autocast(self.device.type, enabled=False):
            return augment.apply(pictures.float(), augment.Parameters(*(ranks.mine(values) for values in drawn)))

    def _judge(self, pictures: Tensor, phase: str) -> Tensor:
        return self.D(self._augment(pictures, phase))

    def _update(self, optimizer: Any, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        ranks.reduce_gradients(parameters)
        optimizer.step()

    def _set_learning_rates(self, *optimizers: Any) -> None:
        factor = learning_rate_factor(
            self.step, self.fit["steps"], self.fit.get("warmup", 0), self.fit.get("decay", 0.0)
        )
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group.setdefault("full_lr", group["lr"])
                group["lr"] = group["full_lr"] * factor

    def _generator_phase(self, optimizer: Any) -> Tensor:
        self.D.requires_grad_(False)
        self.G.requires_grad_(True)
        loss = losses.logistic_g(self._judge(self.G(self._latents("G")), "G")).mean()
        self._update(optimizer, self.G.parameters(), loss)
        return loss.detach()

    def _discriminator_phase(self, optimizer: Any, real: Tensor) -> Tensor:
        self.G.requires_grad_(False)
        self.D.requires_grad_(True)
        with torch.no_grad():
            fake = self._augment(self.G(self._latents("D"), update_emas=True), "fake")
        real_logits = self._judge(real, "real")
        loss = losses.logistic_d_fake(self.D(fake)).mean() + losses.logistic_d_real(real_logits).mean()
        self._update(optimizer, self.D.parameters(), loss)
        self.ada.observe(real_logits)
        return loss.detach()

    def _r1_phase(self, optimizer: Any, real: Tensor) -> Tensor:
        """Lazy R1 (Karras et al. 2020, "Analyzing and improving", app. B): rarer, and as much heavier."""
        real = real.detach().requires_grad_()
        with torch.autocast(self.device.type, enabled=False):
            penalty = losses.r1_penalty(real, self._judge(real, "r1")).mean()
        self._update(optimizer, self.D.parameters(), penalty * (self.fit["r1_gamma"] / 2 * self.r1_every))
        return penalty.detach()

    def training_step(self, real: Tensor, batch_idx: int) -> None:
        if len(real) * ranks.world() != self.batch:
            raise ValueError(
                f"{len(real)} pictures on each of {ranks.world()} processes: expected a global batch of {self.batch}"
            )
        g_adam, d_adam = self.optimizers()  # type: ignore[attr-defined]
        self._set_learning_rates(g_adam, d_adam)
        terms = {"G/loss": self._generator_phase(g_adam), "D/loss": self._discriminator_phase(d_adam, real)}
        if self.r1_every and self.step % self.r1_every == 0:
            terms["D/r1"] = self._r1_phase(d_adam, real)
        update_ema(self.G_ema, self.G, ema_beta(self.batch, self.shown, self.fit["ema_kimg"], self.rampup))
        self.ada.update(self.batch, self.step, move=self.fit["ada"])
        self._unchecked += [(name, self.step, value) for name, value in terms.items()]
        self.step += 1
        self.shown += self.batch
        if self.device.type == "cpu" or self.step % CHECK_EVERY == 0:
            told = self._check()
            self.log_dict(told | {"D/sign_real": self.ada.sign, "ada/p": self.ada.p, "kimg": self.shown / 1000})

    def _check(self) -> dict[str, float]:
        """The newest value of every loss term since the last look, of the global batch.

        Raises Diverged on every rank if one since then is not finite on any rank.
        """
        if not self._unchecked:
            return {}
        values = ranks.mean_over_ranks(torch.stack([value.float() for _, _, value in self._unchecked])).tolist()
        for (name, step, _), value in zip(self._unchecked, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(f"loss term '{name}' became {value} at step {step}")
        told = {name: value for (name, _, _), value in zip(self._unchecked, values, strict=True)}
        self._unchecked.clear()
        return told

    def on_train_epoch_end(self) -> None:
        """Before the checkpoint: nothing broken and nothing of one rank alone goes into it."""
        self._check()
        for name, network in (("G", self.G), ("D", self.D)):
            size = torch.stack(torch._foreach_norm([p.detach() for p in network.parameters()])).sum()
            if not math.isfinite(size.item()):
                raise Diverged(f"a weight of {name} became {size.item()} before step {self.step}")
        self.ada.share()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["generator_fit"] = {"step": self.step, "shown": self.shown, "ada": self.ada.state_dict()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["generator_fit"]
        self.step, self.shown = state["step"], state["shown"]
        self.ada.load_state_dict(state["ada"])
