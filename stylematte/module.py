"""How the matter learns: one LightningModule with its losses, schedule, EMA and divergence check.

Everything random or scheduled is a function of (seed, step), so a fit resumed at a checkpoint equals the unbroken one
bit for bit; and every sum is over the global batch, so several processes equal one (BatchNorm backbones excepted:
they normalise by their own slice; and drop-path, which each rank draws for itself).
"""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from stylematte import distributed
from stylematte.losses.collapse import CollapseWatch
from stylematte.losses.terms import EXCESS, NAMES, named_terms
from stylematte.networks.variants import DEFAULT, TAKES_TRIMAP, build_matter
from stylematte.networks.weights import load_matter
from stylematte.rgba import MattingBatch
from stylematte.sampling import position_seed

NO_DECAY = ("relative_position_bias_table", "pos_embed", "absolute_pos")
LR_FLOOR = 0.01
COMPILE: dict[str, Any] = {"dynamic": False}  # all batches of a fit have one shape


class Diverged(RuntimeError):
    """A loss term stopped being a number; the message names the term and the step."""


class Collapsed(Diverged):
    """The matte became flat under ddc; the message says what was seen and the cure."""


def learning_rate_factor(step: int, warmup: int, steps: int) -> float:
    """Linear from 1/warmup to 1 in `warmup` steps, then half a cosine down to 0.01 at step `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return LR_FLOOR + (1 - LR_FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def ddc_factor(step: int, warmup: int | None, steps: int) -> float:
    """Linear from 1/warmup to 1 in `warmup` steps; None: in half the fit."""
    rise = max(1, steps // 2 if warmup is None else warmup)
    return min(1.0, (step + 1) / rise)


def ema_decay(update: int, decay: float) -> float:
    """min(decay, (1 + t) / (10 + t)) at update t = 1, 2, ...: the first updates forget the random start quickly."""
    return min(decay, (1 + update) / (10 + update))


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two AdamW groups: matrices and kernels decay; biases, norms and position tables do not."""
    decay: list[nn.Parameter] = []
    keep: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        free = parameter.ndim <= 1 or name.endswith(NO_DECAY)
        (keep if free else decay).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]


def build_network(network: dict[str, Any], seed: int, init_from: str | None = None) -> nn.Module:
    """A network (`networks.variants`) whose random start depends on `seed` alone, or the matter in folder `init_from`.

    A saved matter keeps its architecture; its class's SWITCHES are `network`'s. Raises ValueError if the saved one has
    another architecture than `network` asks for.
    """
    if init_from is None:
        return _build_at(network, seed)
    loaded = load_matter(init_from)
    switches = {key: network[key] for key in getattr(loaded, "SWITCHES", ()) if key in network}
    for key, wanted in network.items():
        former = loaded.config.get(key)
        if key != "backbone_weights" and key not in switches and (former or None) != (wanted or None):
            raise ValueError(f"matter in {init_from}: {key} is {former!r}, the config asks for {wanted!r}")
    if not switches:
        return loaded
    built = _build_at({**loaded.config, **switches, "backbone_weights": None}, seed)
    wanted_tensors, former_tensors = built.state_dict(), loaded.state_dict()  # a switch may add a head, or take it away
    built.load_state_dict(wanted_tensors | {k: v for k, v in former_tensors.items() if k in wanted_tensors})
    return built


def _build_at(network: dict[str, Any], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "matter", "init"))
        return build_matter(network)


class MatterModule(pl.LightningModule):
    """Fits a matter to `MattingBatch`es.

    network: its variant and that variant's arguments (`networks.variants`). fit: the fields of the config's matter fit
    (lr, weight_decay, warmup, steps, ema, clip, losses, ddc, trimap_shown); `losses` maps term names to weights, a term
    with weight 0 is not computed; `ddc` holds the options of that term and its warmup; above 0, `trimap_shown` has the
    network see each batch's `guide`. init_from: a matter folder to start from. compiled: run it through torch.compile.
    Use it without Lightning's gradient clipping and without a DDP wrapper. `network` learns, `ema` is its running
    average: predict and save with that one.
    """

    def __init__(
        self,
        network: dict[str, Any],
        fit: dict[str, Any],
        seed: int,
        init_from: str | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.fit_config, self.seed = dict(fit), seed
        self.loss_weights = {name: float(value) for name, value in fit["losses"].items() if value}
        if self.loss_weights.keys() - set(NAMES) or not self.loss_weights:
            raise ValueError(f"losses {fit['losses']}: give {', '.join(NAMES)}, one of them above 0")
        self.ddc_options = dict(fit.get("ddc") or {})
        self.collapse = CollapseWatch()
        self.shows_trimap = bool(fit.get("trimap_shown"))
        self.network = build_network(self._asked_of(network), seed, init_from).train()
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        if compiled:
            self.network.compile(**COMPILE)

    def _asked_of(self, network: dict[str, Any]) -> dict[str, Any]:
        """`network` with what this fit's terms need of it. Raises ValueError if its variant does not have that."""
        variant, semantic = network.get("variant") or DEFAULT, "semantic" in self.loss_weights
        if variant not in TAKES_TRIMAP and (semantic or self.shows_trimap):
            raise ValueError(f"losses.semantic and trimap_shown need variant {TAKES_TRIMAP[0]}, this is {variant}")
        return {**network, "semantic_head": semantic} if variant in TAKES_TRIMAP else dict(network)

    def forward(self, image: Tensor) -> Tensor:
        """image (N, 3, H, W) -> alpha (N, 1, H, W) by the averaged network."""
        return self.ema(image)

    def weights_now(self) -> dict[str, float]:
        """The weight of each term at this step."""
        factor = ddc_factor(self.global_step, self.ddc_options.get("warmup"), self.fit_config["steps"])
        return {name: value * (factor if name == "ddc" else 1.0) for name, value in self.loss_weights.items()}

    def weighted_loss(self, batch: MattingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """This rank's loss, and the named terms (and total) of the global batch, detached and equal on all ranks.

        total = sum_i w_i loss_i / sum_j w_j with j over the global batch and loss_i the weighted sum of the terms that
        apply to sample i. As gradients are averaged over ranks, this rank divides by the mean of the ranks' weight
        sums. A term is reported as its mean over the samples it applies to, and not at all if there are none. One
        all-reduce carries everything.
        """
        prediction, semantic = self._predict(batch)
        weights = self.weights_now()
        with torch.autocast(prediction.device.type, enabled=False):
            terms = named_terms(prediction, batch, self.loss_weights, self.ddc_options, semantic)
        sums = {name: (batch.weight * term.value).sum() for name, term in terms.items()}
        shares = [(batch.weight * term.applies).sum() for term in terms.values()]
        shared = distributed.mean_over_ranks(torch.stack([*sums.values(), *shares, batch.weight.sum()]))
        divisor = shared[-1].clamp_min(1e-8)
        loss = sum(weight * sums[name] for name, weight in weights.items()) / divisor
        means, parts = shared[: len(sums)], shared[len(sums) : -1]
        there = (parts != 0).tolist()  # a nan is there
        named = {name: means[i] / parts[i] for i, name in enumerate(sums) if there[i]}
        of_all = dict(zip(sums, means / divisor, strict=True))
        named["total"] = sum(weight * of_all[name] for name, weight in weights.items())
        return loss, named

    def _predict(self, batch: MattingBatch) -> tuple[Tensor, Tensor | None]:
        """The alpha of the network that learns, float32, and what its semantic head says where that has a weight."""
        guide = (batch.guide,) if self.shows_trimap else ()
        if "semantic" in self.loss_weights:
            return self.network(batch.image, *guide, semantic=True)
        return self.network(batch.image, *guide).float(), None

    def training_step(self, batch: MattingBatch, batch_idx: int) -> Tensor:
        # drop-path draws from the global generator: its state must depend on the position, not on the history
        torch.manual_seed(position_seed(self.seed, "dropout", self.global_step, distributed.rank()))
        loss, named = self.weighted_loss(MattingBatch(*batch))
        self._check_collapse(self._check_finite(named))
        self.log_dict({f"loss/{name}": value for name, value in named.items()}, on_step=True, on_epoch=False)
        self.log("lr", self.optimizers().param_groups[0]["lr"], on_step=True, on_epoch=False)
        return loss

    def _check_finite(self, named: dict[str, Tensor]) -> dict[str, float]:
        """The terms as numbers, in one wait for the device.

        Raises Diverged on all ranks alike: the values are sums over ranks, and nan and inf survive a sum.
        """
        told = dict(zip(named, torch.stack(list(named.values())).tolist(), strict=True))
        for name, value in told.items():
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "inf"
                raise Diverged(f"loss term {name!r} became {kind} at step {self.global_step}")
        return told

    def _check_collapse(self, named: dict[str, float]) -> None:
        """Raise Collapsed on all ranks alike: the values are the global batch's."""
        if "known" not in named or EXCESS not in named:
            return
        seen = self.collapse.update(named["known"], named[EXCESS])
        if seen is not None:
            now = self.loss_weights["ddc"]
            raise Collapsed(f"the matte collapsed at step {self.global_step}: {seen}; lower losses.ddc (now {now:g})")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["collapse"] = dict(self.collapse.state)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.collapse.state |= checkpoint.get("collapse", {})

    def on_fit_start(self) -> None:
        # the EMA copy is in eval mode on purpose
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        distributed.broadcast_module(self)

    def on_after_backward(self) -> None:
        distributed.reduce_gradients(self.network.parameters())

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of the reduced gradient; Lightning calls this after `on_after_backward`."""
        if self.fit_config["clip"]:
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.fit_config["clip"])
            self.log("grad_norm", norm, on_step=True, on_epoch=False)

    def on_train_batch_end(self, *_: Any) -> None:
        average_batch_norm(self.network)
        update_ema(self.ema, self.network, ema_decay(self.global_step, self.fit_config["ema"]))

    def configure_optimizers(self) -> dict[str, Any]:
        groups = parameter_groups(self.network, self.fit_config["weight_decay"])
        optimizer = torch.optim.AdamW(groups, lr=self.fit_config["lr"])
        warmup, steps = self.fit_config["warmup"], self.fit_config["steps"]
        scheduler = LambdaLR(optimizer, lambda step: learning_rate_factor(step, warmup, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """average <- decay average + (1 - decay) current for parameters; buffers are copied."""
    averages, currents = list(average.parameters()), list(current.parameters())
    torch._foreach_lerp_(averages, [p.detach() for p in currents], 1 - decay)
    for old, new in zip(average.buffers(), current.buffers(), strict=True):
        old.copy_(new)


@torch.no_grad()
def average_batch_norm(network: nn.Module) -> None:
    """Give all ranks the mean of their running statistics, so that the checkpoint of one rank speaks for all."""
    if distributed.world() == 1:
        return
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    tensors = [t for m in layers for t in (m.running_mean, m.running_var) if t is not None]
    if tensors:
        flat = distributed.mean_over_ranks(torch.cat(tensors))
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part)
