"""The discriminator of StyleGAN2 (Karras et al. 2020), parameter names as in the published models.

Three architectures: resnet (residual blocks), skip (every block reads the picture at its size), orig (neither).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stylemattegan.networks.conv2d_resample import conv2d_resample
from stylemattegan.networks.mapping import FullyConnected, MappingNetwork
from stylemattegan.networks.precision import HalfLayer, working_dtype
from stylemattegan.ops import downsample2d, setup_filter
from stylemattegan.ops.convolution_algorithms import LeakyReLU

RESIDUAL_GAIN = math.sqrt(0.5)
FIR = (1, 3, 3, 1)
ARCHITECTURES = ("resnet", "skip", "orig")
CLAMP = 256.0


class ConvLayer(nn.Module):
    """Equalised convolution, optional 2x decimation, bias, activation, gain, clipping at clamp * gain.

    activation: lrelu or linear.
    trainable: False makes weight and bias buffers of the same names, which no optimizer sees.
    """

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
        trainable: bool = True,
    ) -> None:
        super().__init__()
        self.activation, self.down, self.kernel, self.gain, self.clamp = activation, down, kernel, gain, clamp
        self.register_buffer("resample_filter", setup_filter(FIR))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel**2)
        tensors = {"weight": torch.randn(out_channels, in_channels, kernel, kernel)}
        tensors["bias"] = torch.zeros(out_channels) if bias else None
        for name, tensor in tensors.items():
            if trainable:
                self.register_parameter(name, None if tensor is None else nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n o _ _"]:
        # leaky ReLU and identity are positively homogeneous, so the gains go into the (small) weight and bias
        gain = self.gain * (math.sqrt(2) if self.activation == "lrelu" else 1.0)
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias if gain == 1 else self.bias * gain).to(x.dtype)
        clamp = None if self.clamp is None else self.clamp * self.gain
        pad = self.kernel // 2
        act = None
        if self.activation == "lrelu" or clamp is not None:
            act = LeakyReLU(0.2 if self.activation == "lrelu" else 1.0, math.inf if clamp is None else clamp)
        return conv2d_resample(x, weight, self.resample_filter, down=self.down, padding=pad, bias=bias, act=act)


class Block(HalfLayer):
    """(N, C, r, r) -> (N, C', r/2, r/2); the first block starts from the picture, and in `skip` every block adds it.

    frozen: how many of its convolutions, in the order below, are not trained.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        mid: int,
        out: int,
        img_channels: int,
        clamp: float | None,
        architecture: str = "resnet",
        use_fp16: bool = False,
        frozen: int = 0,
    ) -> None:
        super().__init__()
        self.architecture, self.half = architecture, torch.float16 if use_fp16 else None
        self.register_buffer("resample_filter", setup_filter(FIR))
        resnet, reads = architecture == "resnet", not in_channels or architecture == "skip"
        first = int(reads)
        gain = RESIDUAL_GAIN if resnet else 1.0
        self.fromrgb = ConvLayer(img_channels, mid, 1, clamp=clamp, trainable=frozen < 1) if reads else None
        self.conv0 = ConvLayer(mid, mid, 3, clamp=clamp, trainable=frozen <= first)
        self.conv1 = ConvLayer(mid, out, 3, down=2, gain=gain, clamp=clamp, trainable=frozen <= first + 1)
        self.skip = (
            ConvLayer(mid, out, 1, False, "linear", down=2, gain=gain, trainable=frozen <= first + 2)
            if resnet
            else None
        )
        self.num_layers = first + 2 + int(resnet)

    def forward(
        self, x: Float[Tensor, "n c r r"] | None, image: Float[Tensor, "n k r r"] | None
    ) -> tuple[Float[Tensor, "n o r//2 r//2"], Float[Tensor, "n k r//2 r//2"] | None]:
        """(features, picture) -> the same at half the size; the picture is None once nobody reads it any more."""
        if self.fromrgb is not None:
            assert image is not None
            read = self.fromrgb(image.to(working_dtype(self.half, image)))
            x = read if x is None else x.to(read.dtype) + read
            image = downsample2d(image, self.resample_filter) if self.architecture == "skip" else None
        assert x is not None
        x = x.to(working_dtype(self.half, x))
        y = self.conv1(self.conv0(x))
        return (y if self.skip is None else self.skip(x) + y), image


def minibatch_std(
    x: Float[Tensor, "n c h w"], group_size: int | None, num_channels: int = 1
) -> Float[Tensor, "n c+{num_channels} h w"]:
    """Append the standard deviation within groups of samples as `num_channels` constant channels (Karras et al. 2018).

    Groups are strided: sample n is in group n mod (N / G). If N processes of world w take rows rank::w of a global
    batch, their local groups are the groups of the global batch as long as w divides N / G.
    """
    n, _, h, w = x.shape
    g = n if group_size is None else min(group_size, n)
    if n % g:
        raise ValueError(f"a batch of {n} does not divide into groups of {g}: use a batch that is a multiple of {g}")
    members = x.float().unflatten(0, (g, n // g)).unflatten(2, (num_channels, -1))
    deviation = members - members.mean(0)  # torch.var takes many times as long over the first dimension
    spread = (deviation.square().mean(0) + 1e-8).sqrt().mean((2, 3, 4))  # (N / G, num_channels)
    statistic = spread.to(x.dtype).tile(g, 1)[..., None, None]  # tile: sample n is in group n mod (N / G)
    return torch.cat([x, statistic.expand(-1, -1, h, w)], dim=1)


class Epilogue(nn.Module):
    """(N, C, 4, 4) -> (N, out) in float32. reads: channels of the picture that it adds (`skip`), or 0."""

    def __init__(
        self, channels: int, out: int, group_size: int | None, std_channels: int, clamp: float | None, reads: int = 0
    ) -> None:
        super().__init__()
        self.group_size, self.std_channels = group_size, std_channels
        self.fromrgb = ConvLayer(reads, channels, 1) if reads else None
        self.conv = ConvLayer(channels + std_channels, channels, 3, clamp=clamp)
        self.fc = FullyConnected(channels * 16, channels, activation="lrelu")
        self.out = FullyConnected(channels, out)

    def forward(
        self, x: Float[Tensor, "n c 4 4"], image: Float[Tensor, "n k 4 4"] | None = None
    ) -> Float[Tensor, "n o"]:
        x = x.float()
        if self.fromrgb is not None:
            assert image is not None
            x = x + self.fromrgb(image.float())
        if self.std_channels:
            x = minibatch_std(x, self.group_size, self.std_channels)
        return self.out(self.fc(self.conv(x).flatten(1)))


class Discriminator(nn.Module):
    """Picture (N, img_channels, r, r) in the [-1, 1] encoding, and c (N, c_dim) if conditional -> logits (N, 1).

    architecture: resnet, skip or orig. num_fp16_res: the blocks of the so many finest resolutions run in float16 on a
    GPU (the official code: 4), but none at 4 x 4. freeze_layers: the first so many convolutions, from the picture on,
    are not trained (Mo et al. 2020, "Freeze the discriminator"); the state has the same names.
    """

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
        conv_clamp: float | None = CLAMP,
        architecture: str = "resnet",
        num_fp16_res: int = 0,
        freeze_layers: int = 0,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if img_resolution < 8 or img_resolution & (img_resolution - 1):
            raise ValueError(f"img_resolution={img_resolution}: expected a power of two of at least 8")
        if architecture not in ARCHITECTURES:
            raise ValueError(f"architecture={architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
        self.config: dict[str, Any] = arguments
        self.img_resolution, self.img_channels, self.c_dim = img_resolution, img_channels, c_dim
        self.resolutions = [2**i for i in range(int(math.log2(img_resolution)), 2, -1)]
        channels = {r: min(int(channel_base // r), channel_max) for r in [*self.resolutions, 4]}
        if min(channels.values()) < 1:
            raise ValueError(f"channel_base={channel_base}: expected at least img_resolution={img_resolution}")
        for r in self.resolutions:
            before = channels[r] if r < img_resolution else 0
            use_fp16 = r * 2**num_fp16_res > img_resolution
            sizes = (before, channels[r], channels[r // 2], img_channels)
            block = Block(*sizes, conv_clamp, architecture, use_fp16, freeze_layers)
            block.octave = self.resolutions.index(r)
            freeze_layers = max(0, freeze_layers - block.num_layers)
            setattr(self, f"b{r}", block)
        if freeze_layers:
            raise ValueError(f"freeze_layers: {freeze_layers} more than there are convolutions before the last block")
        self.cmap_dim = 0 if not c_dim else (channels[4] if cmap_dim is None else cmap_dim)
        self.mapping = MappingNetwork(0, c_dim, self.cmap_dim, None, mapping_layers, w_avg_beta=None) if c_dim else None
        reads = img_channels if architecture == "skip" else 0
        self.b4 = Epilogue(channels[4], self.cmap_dim or 1, mbstd_group_size, mbstd_num_channels, conv_clamp, reads)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Float[Tensor, "n 1"]:
        shape = (self.img_channels, self.img_resolution, self.img_resolution)
        if image.shape[1:] != shape:
            raise ValueError(f"pictures of shape {tuple(image.shape)}: expected (N, {', '.join(map(str, shape))})")
        x, left = None, image
        for r in self.resolutions:
            x, left = getattr(self, f"b{r}")(x, left)
        x = self.b4(x, left)
        if self.mapping is not None:
            x = (x * self.mapping(None, c)).sum(1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x
