"""MatterModule, the LightningModule that fits a matting network: optimizer, schedule, EMA, divergence check.

Everything random or scheduled is a function of (seed, step), so a fit resumed at a checkpoint equals the unbroken one
bit for bit; and every sum is over the global batch, so several processes equal one (BatchNorm backbones excepted:
they normalise by their own slice; and drop-path, which each rank draws for itself).
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from stylematte import distributed
from stylematte.averaging import average_batch_norm, update_ema
from stylematte.config import MatterFitConfig, NetworkConfig
from stylematte.losses.collapse import CollapseWatch
from stylematte.losses.terms import EXCESS
from stylematte.losses.weighted import WeightedLoss
from stylematte.networks.start import build_network
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


def asked_of(network: NetworkConfig, fit: MatterFitConfig) -> NetworkConfig:
    """`network` with what the fit needs of it. Raises ValueError if its variant does not have that."""
    needed = fit.needs_trimap_input()
    if needed and not network.takes_trimap:
        keys = ", ".join(needed)
        raise ValueError(
            f"{keys} above 0: expected a network that takes a trimap (variant detail), got {network.variant}"
        )
    return replace(network, semantic_head=fit.losses.semantic > 0) if network.takes_trimap else network


class MatterModule(pl.LightningModule):
    """Fits a matter to `MattingBatch`es.

    network: which one; `losses.semantic` of the fit decides whether it has a semantic head. fit: above 0,
    `trimap_shown` has the network see each batch's `trimap_input`. init_from: a matter folder to start from. compiled:
    run it through torch.compile. Use it without Lightning's gradient clipping and without a DDP wrapper.
    `network` learns, `ema` is its running average: predict and save with that one. Raises ValueError for a fit that
    this network cannot have, and what `build_network` raises.
    """

    def __init__(
        self,
        network: NetworkConfig,
        fit: MatterFitConfig,
        seed: int,
        init_from: str | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.fit_config, self.seed = fit, seed
        self.loss = WeightedLoss(fit)
        self.collapse = CollapseWatch()
        self.network = build_network(asked_of(network, fit), seed, init_from).train()
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        if compiled:
            self.network.compile(**COMPILE)

    def forward(self, image: Tensor) -> Tensor:
        """image (N, 3, H, W) -> alpha (N, 1, H, W) by the averaged network."""
        return self.ema(image)

    def predict(self, batch: MattingBatch) -> tuple[Tensor, Tensor | None]:
        """The alpha of the network that learns, float32, and what its semantic head says where that has a weight."""
        shown = (batch.trimap_input,) if self.fit_config.trimap_shown else ()
        if "semantic" in self.loss.weights:
            return self.network(batch.image, *shown, semantic=True)
        return self.network(batch.image, *shown).float(), None

    def weighted_loss(self, batch: MattingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """This rank's loss, and the named terms of the global batch: see `WeightedLoss`."""
        return self.loss(*self.predict(batch), batch, self.global_step)

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
        values = dict(zip(named, torch.stack(list(named.values())).tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "inf"
                raise Diverged(f"loss term {name!r} became {kind} at step {self.global_step}")
        return values

    def _check_collapse(self, named: dict[str, float]) -> None:
        """Raise Collapsed on all ranks alike: the values are the global batch's."""
        if "known" not in named or EXCESS not in named:
            return
        seen = self.collapse.update(named["known"], named[EXCESS])
        if seen is not None:
            now = self.loss.weights["ddc"]
            raise Collapsed(f"the matte collapsed at step {self.global_step}: {seen}; lower losses.ddc (now {now:g})")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["collapse"] = dict(self.collapse.state)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.collapse.state |= checkpoint.get("collapse", {})

    def on_fit_start(self) -> None:
        distributed.broadcast_module(self)

    def on_after_backward(self) -> None:
        distributed.reduce_gradients(self.network.parameters())

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of the reduced gradient; Lightning calls this after `on_after_backward`."""
        if self.fit_config.clip:
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.fit_config.clip)
            self.log("grad_norm", norm, on_step=True, on_epoch=False)

    def on_train_batch_end(self, *_: Any) -> None:
        average_batch_norm(self.network)
        update_ema(self.ema, self.network, ema_decay(self.global_step, self.fit_config.ema))

    def configure_optimizers(self) -> dict[str, Any]:
        fit = self.fit_config
        optimizer = torch.optim.AdamW(parameter_groups(self.network, fit.weight_decay), lr=fit.lr)
        scheduler = LambdaLR(optimizer, lambda step: learning_rate_factor(step, fit.warmup, fit.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
