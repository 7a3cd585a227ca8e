"""The mapping network: latent z (and class c) -> style w (Karras et al. 2019, "A Style-Based Generator")."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.distributed import mean_over_ranks
from stylemattegan.ops import bias_act


class FullyConnected(nn.Module):
    """y = act(x W^T lr / sqrt(in) + b lr): equalised learning rate, the stored weight is about unit normal / lr."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        weight_init: float = 1.0,
        bias_init: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) * (weight_init / lr_multiplier))
        bias = torch.as_tensor(bias_init, dtype=torch.float32) / lr_multiplier
        self.bias = nn.Parameter(bias.expand(out_features).clone())
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        weight = self.weight.to(x.dtype) * self.weight_gain
        bias = self.bias.to(x.dtype)
        y = torch.addmm(bias if self.bias_gain == 1 else bias * self.bias_gain, x, weight.t())
        return y if self.activation == "linear" else bias_act(y, act=self.activation)


def unit_second_moment(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """x (N, d) scaled so that its mean square over d is 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """z (N, z_dim) and c (N, c_dim) -> w (N, num_ws, w_dim), or (N, w_dim) if num_ws is None.

    z_dim or c_dim may be 0. `w_avg` is the running mean of w, the centre of truncation; w_avg_beta None keeps none.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 2,
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.998,
    ) -> None:
        super().__init__()
        if z_dim + c_dim == 0:
            raise ValueError("a mapping network needs z_dim or c_dim above 0")
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        self.embed = FullyConnected(c_dim, w_dim) if c_dim else None
        features = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * num_layers
        for i in range(num_layers):
            layer = FullyConnected(features[i], features[i + 1], activation="lrelu", lr_multiplier=lr_multiplier)
            setattr(self, f"fc{i}", layer)
        if w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def _inputs(self, z: Tensor | None, c: Tensor | None) -> Tensor:
        parts = []
        if self.z_dim:
            if z is None or z.ndim != 2 or z.shape[1] != self.z_dim:
                raise ValueError(
                    f"latents of shape {None if z is None else tuple(z.shape)}: expected (N, {self.z_dim})"
                )
            parts.append(unit_second_moment(z.to(torch.float32)))
        if self.embed is not None:
            if c is None or c.ndim != 2 or c.shape[1] != self.c_dim:
                raise ValueError(f"labels of shape {None if c is None else tuple(c.shape)}: expected (N, {self.c_dim})")
            parts.append(unit_second_moment(self.embed(c.to(torch.float32))))
        return torch.cat(parts, dim=1)

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        psi: float | Tensor = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Float[Tensor, "n {self.num_ws} {self.w_dim}"] | Float[Tensor, "n {self.w_dim}"]:
        """psi: truncation, one number or one per sample (N,): w <- w_avg + psi (w - w_avg) on the first layers."""
        w = self._inputs(z, c)
        for i in range(self.num_layers):
            w = getattr(self, f"fc{i}")(w)
        if update_emas and self.w_avg_beta is not None:
            mean = mean_over_ranks(w.detach().to(self.w_avg.dtype).mean(0))  # under autocast w is of 16 bits
            self.w_avg.copy_(mean.lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is None:
            return w
        ws = w[:, None].expand(-1, self.num_ws, -1)
        if isinstance(psi, Tensor) or psi != 1:
            psi = torch.as_tensor(psi, dtype=w.dtype, device=w.device).reshape(-1, 1)
            truncated = (self.w_avg + psi * (w - self.w_avg))[:, None]
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            ws = torch.cat([truncated.expand(-1, cutoff, -1), ws[:, cutoff:]], dim=1)
        return ws
