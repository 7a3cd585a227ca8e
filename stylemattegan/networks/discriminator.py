"""The residual discriminator of StyleGAN2 (Karras et al. 2020), parameter names as in the published models."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylemattegan.networks.mapping import FullyConnected, MappingNetwork
from stylemattegan.ops import bias_act, setup_filter, upfirdn2d

RESIDUAL_GAIN = math.sqrt(0.5)
FIR = (1, 3, 3, 1)


class ConvLayer(nn.Module):
    """Equalised convolution, optional 2x decimation, bias, activation, gain, clipping at clamp * gain."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        bias: bool = True,
        activation: str = "lrelu",
        down: int = 1,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.down, self.kernel, self.gain, self.clamp = activation, down, kernel, gain, clamp
        self.register_buffer("resample_filter", setup_filter(FIR))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        # leaky ReLU and identity are positively homogeneous, so the gains go into the (small) weight and bias
        gain = self.gain * (math.sqrt(2) if self.activation == "lrelu" else 1.0)
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias if gain == 1 else self.bias * gain).to(x.dtype)
        clamp = None if self.clamp is None else self.clamp * self.gain
        y = self._convolve(x, weight, bias)
        if self.activation == "linear" and clamp is None:
            return y
        return bias_act(y, act=self.activation, gain=1.0, clamp=clamp)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pad = self.kernel // 2
        if self.down == 1:
            return F.conv2d(x, weight, bias, padding=pad)
        before, after = (len(FIR) - self.down + 1) // 2 + pad, (len(FIR) - self.down) // 2 + pad
        if self.kernel == 1:
            x = upfirdn2d(x, self.resample_filter, down=self.down, padding=[before, after] * 2)
            return F.conv2d(x, weight, bias)
        x = upfirdn2d(x, self.resample_filter, padding=[before, after] * 2)
        return F.conv2d(x, weight, bias, stride=self.down)


class Block(nn.Module):
    """(N, C, r, r) -> (N, C', r/2, r/2); the first block starts from the picture."""

    resample_filter: Tensor

    def __init__(self, in_channels: int, mid: int, out: int, img_channels: int, clamp: float | None) -> None:
        super().__init__()
        self.register_buffer("resample_filter", setup_filter(FIR))
        self.fromrgb = None if in_channels else ConvLayer(img_channels, mid, 1, clamp=clamp)
        self.conv0 = ConvLayer(mid, mid, 3, clamp=clamp)
        self.conv1 = ConvLayer(mid, out, 3, down=2, gain=RESIDUAL_GAIN, clamp=clamp)
        self.skip = ConvLayer(mid, out, 1, bias=False, activation="linear", down=2, gain=RESIDUAL_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


def minibatch_std(x: Tensor, group_size: int | None, num_channels: int = 1) -> Tensor:
    """Append the standard deviation within groups of samples as `num_channels` constant channels (Karras et al. 2018).

    Groups are strided: sample n is in group n mod (N / G). If N processes of world w take rows rank::w of a global
    batch, their local groups are the groups of the global batch as long as w divides N / G.
    """
    n, _, h, w = x.shape
    g = n if group_size is None else min(group_size, n)
    if n % g:
        raise ValueError(f"a batch of {n} does not divide into groups of {g}: use a batch that is a multiple of {g}")
    members = x.float().unflatten(0, (g, n // g)).unflatten(2, (num_channels, -1))
    spread = (members.var(0, correction=0) + 1e-8).sqrt().mean((2, 3, 4))  # (N / G, num_channels)
    told = spread.to(x.dtype).tile(g, 1)[..., None, None]  # tile: sample n hears from group n mod (N / G)
    return torch.cat([x, told.expand(-1, -1, h, w)], dim=1)


class Epilogue(nn.Module):
    """(N, C, 4, 4) -> (N, out) in float32."""

    def __init__(self, channels: int, out: int, group_size: int | None, std_channels: int, clamp: float | None) -> None:
        super().__init__()
        self.group_size, self.std_channels = group_size, std_channels
        self.conv = ConvLayer(channels + std_channels, channels, 3, clamp=clamp)
        self.fc = FullyConnected(channels * 16, channels, activation="lrelu")
        self.out = FullyConnected(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if self.std_channels:
            x = minibatch_std(x, self.group_size, self.std_channels)
        return self.out(self.fc(self.conv(x).flatten(1)))


class Discriminator(nn.Module):
    """Picture (N, img_channels, r, r) in the [-1, 1] encoding, and c (N, c_dim) if conditional -> logits (N, 1)."""

    def __init__(
        self,
        img_resolution: int,
        img_channels: int = 4,
        c_dim: int = 0,
        channel_base: float = 32768,
        channel_max: int = 512,
        cmap_dim: int | None = None,
        mapping_layers: int = 8,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        conv_clamp: float | None = 256.0,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if img_resolution < 8 or img_resolution & (img_resolution - 1):
            raise ValueError(f"img_resolution={img_resolution}: expected a power of two of at least 8")
        self.config: dict[str, Any] = arguments
        self.img_resolution, self.img_channels, self.c_dim = img_resolution, img_channels, c_dim
        self.resolutions = [2**i for i in range(int(math.log2(img_resolution)), 2, -1)]
        channels = {r: min(int(channel_base // r), channel_max) for r in [*self.resolutions, 4]}
        if min(channels.values()) < 1:
            raise ValueError(f"channel_base={channel_base}: expected at least img_resolution={img_resolution}")
        for r in self.resolutions:
            before = channels[r] if r < img_resolution else 0
            setattr(self, f"b{r}", Block(before, channels[r], channels[r // 2], img_channels, conv_clamp))
        self.cmap_dim = 0 if not c_dim else (channels[4] if cmap_dim is None else cmap_dim)
        self.mapping = MappingNetwork(0, c_dim, self.cmap_dim, None, mapping_layers, w_avg_beta=None) if c_dim else None
        self.b4 = Epilogue(channels[4], self.cmap_dim or 1, mbstd_group_size, mbstd_num_channels, conv_clamp)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Tensor:
        shape = (self.img_channels, self.img_resolution, self.img_resolution)
        if image.shape[1:] != shape:
            raise ValueError(f"pictures of shape {tuple(image.shape)}: expected (N, {', '.join(map(str, shape))})")
        x = image
        for r in self.resolutions:
            x = getattr(self, f"b{r}")(x)
        x = self.b4(x)
        if self.mapping is not None:
            x = (x * self.mapping(None, c)).sum(1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x
