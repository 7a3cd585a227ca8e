"""The generator's fit as a Lightning module: one training step of G and D, their regularisers, ADA and G_ema.

Everything random is a function of (seed, phase, step), see `draws`: a resumed fit equals the unbroken one, and N
processes equal one. The names of phases ("G", "D", "real", "r1", ...) are part of those seeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from stylematte import distributed
from stylematte.averaging import update_ema
from stylemattegan.augment import pipe as augment
from stylemattegan.config import AlphaRegularizerConfig, GeneratorFitConfig, GeneratorNetworkConfig, Precision
from stylemattegan.networks.precision import all_in_float32, set_half
from stylemattegan.networks.weights import save_generator
from stylemattegan.ops.allocator import keep_big_blocks
from stylemattegan.training import draws
from stylemattegan.training.ada import AdaController
from stylemattegan.training.alpha_regularizer import AlphaRegularizer
from stylemattegan.training.blur import blur_encoded, blur_sigma
from stylemattegan.training.composite_discriminator import CompositeDiscriminator
from stylemattegan.training.divergence import Gradients, LossTerms, demand_finite_weights
from stylemattegan.training.ema import ema_beta
from stylemattegan.training.lr_schedule import learning_rate_factor, set_learning_rates
from stylemattegan.training.objectives import objectives
from stylemattegan.training.reconstruction import Known, Reconstruction
from stylemattegan.training.regularizers import lazy_adam
from stylemattegan.training.start import Networks, build, first_convolutions, first_start, later_start
from stylemattegan.training.terms import Auxiliary, Position, Term, logged, weighted_sum

HALF = {Precision.fp32: None, Precision.fp16: torch.float16, Precision.bf16: torch.bfloat16}
CHECK_EVERY = 4
"""Steps between looks at the loss terms on a GPU, where each look waits for the device."""


class GeneratorModule(pl.LightningModule):
    """Trains G against D on batches (n, 4, R, R) of encoded RGBA; fit.batch is the global batch.

    network: how G and D are built, or built ones. init_from: folder with a generator of an earlier fit to go on from.
    composite_discriminator, alpha_regularizer: what takes part beside G and D. reconstruction: how a first fit begins;
    one that goes on from another has none.
    Logs G/loss, D/loss, D/r1, D/sign_real, ada/p, kimg; with the relativistic loss D/r2; with path length G/path and
    G/path_mean; with reconstruction G/reconstruction; with a composite discriminator D2/loss, D2/r1; alpha/<term>.
    Raises Diverged.
    """

    def __init__(
        self,
        network: GeneratorNetworkConfig | Networks,
        fit: GeneratorFitConfig,
        resolution: int,
        seed: int,
        init_from: str | Path | None = None,
        composite_discriminator: CompositeDiscriminator | None = None,
        alpha_regularizer: AlphaRegularizerConfig | None = None,
        reconstruction: Reconstruction | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        keep_big_blocks()
        self.fit, self.seed, self.batch = fit, seed, fit.batch
        self.continued = init_from is not None
        networks = network if isinstance(network, Networks) else build(network, resolution, self.batch, seed)
        start = first_start(networks) if init_from is None else later_start(Path(init_from), networks)
        self.G, self.D, self.G_ema = start.G, start.D, start.G_ema
        self.half = HALF[fit.precision]
        for player in (self.G, self.D):
            set_half(player, self.half)
        self.frozen = first_convolutions(self.D, fit.freeze_d if self.continued else 0)
        self.rampup = None if self.continued else fit.ema_rampup
        self.rate = fit.later_lr if self.continued else 1.0
        self.ada = AdaController(max(fit.augment_p, start.augment_p), fit.ada_target, fit.ada_kimg, fit.augment_max)
        self.objectives = objectives(fit)
        self.reconstruction = None if self.continued else reconstruction
        alpha = AlphaRegularizer(alpha_regularizer) if alpha_regularizer else None
        members = {"alpha_regularizer": alpha, "composite_discriminator": composite_discriminator}
        self.auxiliaries = nn.ModuleDict({name: one for name, one in members.items() if one is not None})
        self.step, self.shown = 0, 0
        """Steps made, and real pictures shown (over all ranks). Lightning's global_step counts both optimizers."""
        self.losses, self.gradients = LossTerms(), Gradients()

    def training_step(self, real: Tensor, batch_idx: int) -> None:
        self._demand_global_batch(real)
        g_adam, d_adam, *others = optimizers = self.optimizers()  # type: ignore[attr-defined]
        set_learning_rates(optimizers, learning_rate_factor(self.step, self.fit.steps, self.fit.warmup, self.fit.decay))
        start, terms = self.reconstruction, dict[str, Tensor]()
        if start is not None:
            g_adam.param_groups[0]["lr"] *= start.rate_factor(self.step)
        if start is None or start.g_learns(self.step):
            terms |= self.generator_step(g_adam, real)
        if start is None or start.d_learns(self.step):
            terms |= self.regularize("G", g_adam, real)
            terms |= self.discriminator_step(d_adam, real, others)
            terms |= self.regularize("D", d_adam, real)
        update_ema(self.G_ema, self.G, ema_beta(self.batch, self.shown, self.fit.ema_kimg, self.rampup))
        self.ada.update(self.batch, self.step, move=self.fit.ada)
        self.losses.add(self.step, terms)
        self.step += 1
        self.shown += self.batch
        if self.device.type == "cpu" or self.step % CHECK_EVERY == 0:
            values = self.losses.check()
            self.log_dict(values | {"D/sign_real": self.ada.sign, "ada/p": self.ada.p, "kimg": self.shown / 1000})

    def generator_step(self, optimizer: Any, real: Tensor) -> dict[str, Tensor]:
        """G on D's verdict and the terms of what takes part beside them; at first on reconstruction alone."""
        self._learns(self.G)
        known = self.known()
        adversarial = self.reconstruction is None or self.reconstruction.d_learns(self.step)
        fake = self.generate("G", update_emas=not adversarial, known=known)
        terms = []
        if adversarial:
            terms.append(Term(self.objectives.g(self.score, fake, real), name="G/loss"))
            for auxiliary in self._auxiliaries():
                terms += auxiliary.generator_terms(fake, real, Position(self.step, self.shown))
        if self.reconstruction is not None and known is not None:
            terms.append(self.reconstruction.term(fake, known, self.step))
        self._update(optimizer, self._of_generator(), weighted_sum(terms))
        return logged(terms)

    def discriminator_step(self, optimizer: Any, real: Tensor, others: Iterable[Any] = ()) -> dict[str, Tensor]:
        """D on real and generated pictures; whatever else learns (others: its optimizers) on the same."""
        self._learns(self.D)
        with torch.no_grad():
            fake = self.generate("D", update_emas=True, known=self.known())
        with all_in_float32(self.D) if self.objectives.d.penalty else nullcontext():
            terms, steering = self.objectives.d(self.score, real, fake)
            self._update(optimizer, self.D.parameters(), weighted_sum(terms))
        self.ada.observe(steering)
        found = logged(terms)
        for auxiliary, own in zip(self._learners(), others, strict=True):
            found |= auxiliary.learn(self._update, own, real, fake, Position(self.step, self.shown))
        return found

    def regularize(self, network: str, optimizer: Any, real: Tensor) -> dict[str, Tensor]:
        """The lazy regularisers of "G" or "D" that are due."""
        found: dict[str, Tensor] = {}
        for regularizer in self.objectives.lazy:
            if regularizer.network == network and regularizer.due(self.step):
                trained = getattr(self, network)
                self._learns(trained)
                with all_in_float32(self.G, self.D):
                    terms = regularizer.terms(self, real)
                    self._update(optimizer, trained.parameters(), weighted_sum(terms))
                found |= logged(terms)
        return found

    def known(self) -> Known | None:
        """The rows of this step's batch that are reconstructed."""
        return None if self.reconstruction is None else self.reconstruction.known(self.step)

    def styles(self, phase: str, count: int, update_emas: bool = False, known: Known | None = None) -> Tensor:
        """(n, num_ws, w_dim) of this rank's share of `count` pictures, the first of which are the known ones."""

        def mapped(name: str, update_emas: bool) -> Tensor:
            z = draws.normal((count, self.G.z_dim), self.seed, "z", name, self.step).to(self.device)
            z = z if known is None else torch.cat([known.latents, z[len(known.latents) :]])
            return self.G.mapping(z, update_emas=update_emas)

        ws = mapped(phase, update_emas)
        if self.fit.style_mixing <= 0:
            return ws
        layers = self.G.num_ws
        change = draws.crossovers(count, layers, self.fit.style_mixing, self.seed, "mixing", phase, self.step)
        keeps = torch.arange(layers) < change[:, None]
        keeps[: 0 if known is None else len(known.latents)] = True
        return torch.where(keeps[..., None].to(self.device), ws, mapped(f"{phase} mixing", False))

    def generate(self, phase: str, update_emas: bool = False, known: Known | None = None) -> Tensor:
        """This rank's share of a batch of encoded pictures (n, 4, R, R), the first of which are the known ones."""
        return self.G.synthesis(self.styles(phase, self.batch, update_emas, known), update_emas=update_emas)

    def score(self, pictures: Tensor, phase: str) -> Tensor:
        """D's logits (n, 1) of encoded pictures, blurred at the start of a first fit, then augmented."""
        sigma = 0.0 if self.continued else blur_sigma(self.shown, self.fit.blur_sigma, self.fit.blur_kimg)
        return self.D(self._augment(blur_encoded(pictures, sigma), phase))

    def _augment(self, pictures: Tensor, phase: str) -> Tensor:
        if self.ada.p <= 0:
            return pictures
        transforms = self.fit.augment_set.value
        drawn = draws.augmentation(self.batch, self.ada.p, transforms, self.seed, "augment", phase, self.step)
        with torch.autocast(self.device.type, enabled=False):
            return augment.apply(pictures.float(), drawn)

    def _auxiliaries(self) -> list[Auxiliary]:
        return list(self.auxiliaries.values())  # type: ignore[arg-type]

    def _learners(self) -> list[Auxiliary]:
        return [auxiliary for auxiliary in self._auxiliaries() if auxiliary.learns]

    def _of_generator(self) -> list[nn.Parameter]:
        """What G's optimizer moves: its parameters, and the latents of the known cut-outs."""
        latents = [] if self.reconstruction is None else [self.reconstruction.latents]
        return [*self.G.parameters(), *latents]

    def _learns(self, network: nn.Module) -> None:
        """Gradients for this network's weights, but those held fast, and for no other's."""
        for other in (self.G, self.D):
            other.requires_grad_(other is network)
        for parameter in self.frozen:
            parameter.requires_grad_(False)

    def _update(self, optimizer: Any, parameters: Iterable[nn.Parameter], loss: Tensor) -> None:
        parameters = list(parameters)
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss)
        distributed.reduce_gradients(parameters)
        if self.half is not None:
            self.gradients.clean(parameters)
        optimizer.step()

    def _demand_global_batch(self, real: Tensor) -> None:
        if len(real) * distributed.world() != self.batch:
            raise ValueError(
                f"{len(real)} pictures on each of {distributed.world()} processes: "
                f"expected a global batch of {self.batch}"
            )

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam of G, of D (without what is held fast), and of each auxiliary that learns."""
        held = {id(parameter) for parameter in self.frozen}
        trained = [parameter for parameter in self.D.parameters() if id(parameter) not in held]
        extra = {name: [one.every for one in self.objectives.lazy if one.network == name] for name in ("G", "D")}
        g_lr, d_lr = self.fit.glr * self.rate, self.fit.dlr * self.rate
        first = [lazy_adam(self.G.parameters(), g_lr, extra["G"]), lazy_adam(trained, d_lr, extra["D"])]
        if self.reconstruction is not None:
            lr = self.reconstruction.config.lr
            first[0].add_param_group({"params": [self.reconstruction.latents], "lr": lr})
        return [*first, *(auxiliary.optimizer(d_lr) for auxiliary in self._learners())]

    def save(self, folder: Path, meta: dict[str, Any]) -> None:
        """Write G, D, G_ema, generator.json and what goes with them. meta: JSON, for generator.json."""
        save_generator(folder, self.G, self.D, self.G_ema, meta)
        for auxiliary in self._auxiliaries():
            auxiliary.save(folder)

    def on_fit_start(self) -> None:
        """Raises ValueError for float16 without a GPU."""
        if self.half is torch.float16 and self.device.type != "cuda":
            raise ValueError("generator.fit.precision=fp16 needs a GPU, and this fit has none: use bf16 or fp32")
        torch.backends.cudnn.allow_tf32 = False  # as in the official code: float32 is float32
        distributed.broadcast_module(self)

    def on_train_epoch_end(self) -> None:
        """Before the checkpoint: nothing broken and nothing of one rank alone goes into it."""
        self.losses.check()
        self.gradients.check(self.step)
        for name, network in {"G": self.G, "D": self.D, **dict(self.auxiliaries.items())}.items():
            demand_finite_weights(name, network, self.step)
        self.ada.share()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["generator_fit"] = {
            "step": self.step,
            "shown": self.shown,
            "ada": self.ada.state_dict(),
            "regularizers": [regularizer.state_dict() for regularizer in self.objectives.lazy],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["generator_fit"]
        self.step, self.shown = state["step"], state["shown"]
        self.ada.load_state_dict(state["ada"])
        for regularizer, saved in zip(self.objectives.lazy, state["regularizers"], strict=True):
            regularizer.load_state_dict(saved)
