"""One training step of the generator: G, D, and every few steps their regularisers, with ADA, EMA and counts in
pictures.

Everything random is a function of (seed, phase, step), see `draws`: a resumed fit equals the unbroken one, and N
processes equal one. What D sees is blurred at the start of a fit, then augmented.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from stylematte import distributed
from stylematte.averaging import update_ema
from stylemattegan.augment import pipe as augment
from stylemattegan.ops.allocator import keep_big_blocks
from stylemattegan.training import draws, losses
from stylemattegan.training.alpha_regularizer import alpha_terms
from stylemattegan.training.blur import blur_encoded, blur_sigma
from stylemattegan.training.composite_discriminator import CompositeDiscriminator
from stylemattegan.training.ema import AdaController, ema_beta
from stylemattegan.training.lr_schedule import lazy_adam, learning_rate_factor, set_learning_rates
from stylemattegan.training.start import build, first_convolutions, load_former

CHECK_EVERY = 4
"""Steps between looks at the loss terms on a GPU, where each look waits for the device."""


class Diverged(RuntimeError):
    """A loss term is no longer a finite number; the message names the term and the step."""


class GeneratorModule(pl.LightningModule):
    """Trains G against D on batches (n, 4, R, R) of encoded RGBA.

    network, fit: fields of GeneratorNetworkConfig and GeneratorFitConfig. fit["batch"] is the global batch.
    init_from: folder with the generator of a former round to go on from.
    second: a discriminator of composites beside D. honest: fields of AlphaRegularizerConfig.
    Logs G/loss, D/loss, D/r1, D/sign_real, ada/p, kimg; with the relativistic loss D/r2; with path length G/path and
    G/path_mean; with a second discriminator D2/loss, D2/r1; alpha/<term>. Raises Diverged.
    """

    def __init__(
        self,
        network: dict[str, Any],
        fit: dict[str, Any],
        resolution: int,
        seed: int,
        init_from: str | None = None,
        composite_discriminator: CompositeDiscriminator | None = None,
        alpha_regularizer: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        keep_big_blocks()
        self.fit, self.seed, self.batch = fit, seed, int(fit["batch"])
        self.relativistic = fit["loss"] == "relativistic"
        self.continued = init_from is not None
        self.G, self.D = build(network, resolution, self.batch, seed)
        start_p = fit["augment_p"]
        if init_from is None:
            self.G_ema = copy.deepcopy(self.G)
        else:
            self.G, self.D, self.G_ema, former = load_former(init_from, self.G, self.D)
            start_p = max(start_p, former.get("augment_p", 0.0))
        self.G_ema.requires_grad_(False).eval()
        self.composite_discriminator, self.alpha_regularizer = composite_discriminator, alpha_regularizer or {}
        self.frozen = first_convolutions(self.D, fit["freeze_d"] if self.continued else 0)
        self.rampup = None if self.continued else fit["ema_rampup"]
        self.rate = fit["later_lr"] if self.continued else 1.0
        self.ada = AdaController(start_p, fit["ada_target"], fit["ada_kimg"], fit["augment_max"])
        self.path_mean: Tensor | None = None
        """Running mean of the path lengths, which the penalty pulls them to; None before the first."""
        self.step, self.shown = 0, 0
        """Steps made, and real pictures shown (over all ranks). Lightning's global_step counts both optimizers."""
        self._unchecked: list[tuple[str, int, Tensor]] = []

    @property
    def penalty_every(self) -> int:
        """Steps between two gradient penalties of D; 0 = never."""
        return int(self.fit["r1_every"]) if self.fit["r1_gamma"] > 0 else 0

    @property
    def penalty_joins(self) -> bool:
        """At every step the penalty is a term of D's loss, not a step of its own."""
        return self.penalty_every == 1

    @property
    def path_every(self) -> int:
        """Steps between two path length penalties of G; 0 = never."""
        return int(self.fit["path_every"]) if self.fit["path_weight"] > 0 else 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        held = {id(parameter) for parameter in self.frozen}
        d_parameters = [parameter for parameter in self.D.parameters() if id(parameter) not in held]
        g_adam = lazy_adam(self.G.parameters(), self.fit["glr"] * self.rate, self.path_every)
        d_adam = lazy_adam(d_parameters, self.fit["dlr"] * self.rate, 0 if self.penalty_joins else self.penalty_every)
        return [
            g_adam,
            d_adam,
            *(
                [self.composite_discriminator.optimizer(self.fit["dlr"] * self.rate)]
                if self.composite_discriminator
                else []
            ),
        ]

    def on_fit_start(self) -> None:
        distributed.broadcast_module(self)

    def _learns(self, network: nn.Module) -> None:
        """Gradients for this network's weights, but those held fast, and for no other's."""
        for other in (self.G, self.D):
            other.requires_grad_(other is network)
        for parameter in self.frozen:
            parameter.requires_grad_(False)

    def _styles(self, phase: str, count: int, update_emas: bool = False) -> Tensor:
        """(n, num_ws, w_dim) of this rank's share of `count` pictures."""

        def mapped(name: str, update_emas: bool) -> Tensor:
            z = draws.normal((count, self.G.z_dim), self.seed, "z", name, self.step)
            return self.G.mapping(z.to(self.device), update_emas=update_emas)

        ws = mapped(phase, update_emas)
        if self.fit["style_mixing"] <= 0:
            return ws
        layers = self.G.num_ws
        change = draws.crossovers(count, layers, self.fit["style_mixing"], self.seed, "mixing", phase, self.step)
        keeps = torch.arange(layers) < change[:, None]
        return torch.where(keeps[..., None].to(self.device), ws, mapped(f"{phase} mixing", False))

    def _generate(self, phase: str, update_emas: bool = False) -> Tensor:
        return self.G.synthesis(self._styles(phase, self.batch, update_emas), update_emas=update_emas)

    def _augment(self, pictures: Tensor, phase: str) -> Tensor:
        if self.ada.p <= 0:
            return pictures
        transforms = self.fit["augment_set"]
        drawn = draws.augmentation(self.batch, self.ada.p, transforms, self.seed, "augment", phase, self.step)
        with torch.autocast(self.device.type, enabled=False):
            return augment.apply(pictures.float(), drawn)

    def _judge(self, pictures: Tensor, phase: str) -> Tensor:
        sigma = 0.0 if self.continued else blur_sigma(self.shown, self.fit["blur_sigma"], self.fit["blur_kimg"])
        return self.D(self._augment(blur_encoded(pictures, sigma), phase))

    def _update(self, optimizer: Any, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        distributed.reduce_gradients(parameters)
        optimizer.step()

    def _generator_phase(self, optimizer: Any, real: Tensor) -> dict[str, Tensor]:
        self._learns(self.G)
        fake = self._generate("G")
        fake_logits = self._judge(fake, "G")
        if self.relativistic:
            loss = losses.relativistic_g(fake_logits, self._judge(real, "G real")).mean()
        else:
            loss = losses.logistic_g(fake_logits).mean()
        honest = alpha_terms(fake, real, self.alpha_regularizer)
        told = [term * self.alpha_regularizer[name] for name, term in honest.items()]
        if self.composite_discriminator:
            told.append(self.composite_discriminator.generator_loss(fake, self.step, self.shown))
        self._update(optimizer, self.G.parameters(), sum(told, loss))
        return {"G/loss": loss.detach(), **{f"alpha/{name}": term.detach() for name, term in honest.items()}}

    def _path_phase(self, optimizer: Any) -> dict[str, Tensor]:
        """(|J' y| - a)^2, a the running mean, of a part of the batch (Karras et al. 2020, "Analyzing", eq. 4)."""
        self._learns(self.G)
        count = self.batch // self.fit["path_shrink"]
        ws = self._styles("path", count)
        images = self.G.synthesis(ws)
        noise = draws.normal((count, *images.shape[1:]), self.seed, "path noise", self.step).to(images)
        lengths = losses.path_lengths(images, ws, noise)
        mean = distributed.mean_over_ranks(lengths.mean())
        self.path_mean = mean if self.path_mean is None else self.path_mean.to(mean).lerp(mean, self.fit["path_decay"])
        penalty = (lengths - self.path_mean).square().mean()
        self._update(optimizer, self.G.parameters(), penalty * (self.fit["path_weight"] * self.path_every))
        return {"G/path": penalty.detach(), "G/path_mean": self.path_mean}

    def _discriminator_phase(self, optimizer: Any, real: Tensor, *second: Any) -> dict[str, Tensor]:
        """second: the optimizer of the second discriminator, if there is one; it learns of the same pictures."""
        self._learns(self.D)
        with torch.no_grad():
            fake = self._generate("D", update_emas=True)
        if self.penalty_joins:
            real, fake = real.detach().requires_grad_(), fake.requires_grad_(self.relativistic)
        real_logits, fake_logits = self._judge(real, "real"), self._judge(fake, "fake")
        if self.relativistic:
            loss = losses.relativistic_d(fake_logits, real_logits).mean()
        else:
            loss = losses.logistic_d_fake(fake_logits).mean() + losses.logistic_d_real(real_logits).mean()
        penalties = self._penalties(r1=(real, real_logits), r2=(fake, fake_logits)) if self.penalty_joins else {}
        self._update(optimizer, self.D.parameters(), loss + self._weighed(penalties) if penalties else loss)
        # Relativistic logits have no level of their own: the share of pairs that D ranks rightly takes its place.
        self.ada.observe(real_logits - fake_logits if self.relativistic else real_logits)
        told = (
            self.composite_discriminator.learn(self._update, *second, real, fake, self.step)
            if self.composite_discriminator
            else {}
        )
        return {"D/loss": loss.detach(), **{name: value.detach() for name, value in penalties.items()}, **told}

    def _penalties(self, **seen: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """R1 on real pictures, and R2 on generated ones in the relativistic game. seen: pictures and their logits."""
        names = ("r1", "r2") if self.relativistic else ("r1",)
        return {f"D/{name}": losses.r1_penalty(*seen[name]).mean() for name in names}

    def _weighed(self, penalties: dict[str, Tensor]) -> Tensor:
        """The sum for one step of `penalty_every`: rarer, and as much heavier."""
        return torch.stack(list(penalties.values())).sum() * (self.fit["r1_gamma"] / 2 * self.penalty_every)

    def _penalty_phase(self, optimizer: Any, real: Tensor) -> dict[str, Tensor]:
        """Lazy regularisation (Karras et al. 2020, "Analyzing", app. B) on pictures of its own."""
        self._learns(self.D)
        pictures = {"r1": real}
        if self.relativistic:
            with torch.no_grad():
                pictures["r2"] = self._generate("r2")
        pictures = {name: each.detach().requires_grad_() for name, each in pictures.items()}
        with torch.autocast(self.device.type, enabled=False):
            penalties = self._penalties(**{name: (each, self._judge(each, name)) for name, each in pictures.items()})
        self._update(optimizer, self.D.parameters(), self._weighed(penalties))
        return {name: value.detach() for name, value in penalties.items()}

    def training_step(self, real: Tensor, batch_idx: int) -> None:
        if len(real) * distributed.world() != self.batch:
            raise ValueError(
                f"{len(real)} pictures on each of {distributed.world()} processes: "
                f"expected a global batch of {self.batch}"
            )
        g_adam, d_adam, *d2_adam = optimizers = self.optimizers()  # type: ignore[attr-defined]
        factor = learning_rate_factor(self.step, self.fit["steps"], self.fit["warmup"], self.fit["decay"])
        set_learning_rates(optimizers, factor)
        terms = self._generator_phase(g_adam, real)
        if self.path_every and self.step % self.path_every == 0:
            terms |= self._path_phase(g_adam)
        terms |= self._discriminator_phase(d_adam, real, *d2_adam)
        if self.penalty_every and not self.penalty_joins and self.step % self.penalty_every == 0:
            terms |= self._penalty_phase(d_adam, real)
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
        values = distributed.mean_over_ranks(torch.stack([value.float() for _, _, value in self._unchecked])).tolist()
        for (name, step, _), value in zip(self._unchecked, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(f"loss term '{name}' became {value} at step {step}")
        told = {name: value for (name, _, _), value in zip(self._unchecked, values, strict=True)}
        self._unchecked.clear()
        return told

    def on_train_epoch_end(self) -> None:
        """Before the checkpoint: nothing broken and nothing of one rank alone goes into it."""
        self._check()
        for name, network in (
            ("G", self.G),
            ("D", self.D),
            *([("D2", self.composite_discriminator)] if self.composite_discriminator else []),
        ):
            size = torch.stack(torch._foreach_norm([p.detach() for p in network.parameters()])).sum()
            if not math.isfinite(size.item()):
                raise Diverged(f"a weight of {name} became {size.item()} before step {self.step}")
        self.ada.share()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["generator_fit"] = {
            "step": self.step,
            "shown": self.shown,
            "ada": self.ada.state_dict(),
            "path_mean": self.path_mean,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["generator_fit"]
        self.step, self.shown, self.path_mean = state["step"], state["shown"], state["path_mean"]
        self.ada.load_state_dict(state["ada"])
