"""The synthesis network of StyleGAN3: w -> picture (Karras et al. 2021, "Alias-Free Generative Adversarial Networks").

Parameter and buffer names are those of the published models, so their state dicts load.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.distributed import mean_over_ranks
from stylemattegan.networks.mapping import FullyConnected
from stylemattegan.networks.precision import HalfLayer, working_dtype
from stylemattegan.networks.schedule import Band, LayerOptions, LayerPlan, bands, layers
from stylemattegan.ops import bias_act, filtered_lrelu, lowpass_filter, modulated_conv2d
from stylemattegan.ops.modulated_conv import demodulation, styled_conv2d, unit_style, unit_weight

CLAMP = 256.0


class SynthesisInput(nn.Module):
    """Fourier features of a continuous plane, moved and turned per sample by w: (N, w_dim) -> (N, C, size, size).

    `transform` (3, 3) is the inverse of the transform wanted of the picture, in picture widths.
    """

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(
        self, w_dim: int, channels: int, size: int | tuple[int, int], sampling_rate: float, bandwidth: float
    ) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size  # (width, height)
        self.channels, self.sampling_rate, self.bandwidth = channels, sampling_rate, bandwidth
        normal = torch.randn(channels, 2)
        radius = normal.square().sum(1, keepdim=True).sqrt()
        # |g| of a 2-D normal is Rayleigh, exp(-|g|^2 / 2) uniform, its root the radius of a uniform disc
        self.register_buffer("freqs", bandwidth * normal / radius * torch.exp(-radius.square() / 4))
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(w_dim, 4, weight_init=0.0, bias_init=[1.0, 0.0, 0.0, 0.0])

    def _placed(
        self, w: Float[Tensor, "n w_dim"], transform: Tensor
    ) -> tuple[Float[Tensor, "n c 2"], Float[Tensor, "n c"]]:
        """Frequencies (N, C, 2) and phases (N, C) after the rotation and translation that w asks for."""
        t = self.affine(w)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        c, s, x, y = t.unbind(1)
        # A = R T: turn by (c, s), then shift by -(x, y)
        turn = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
        shift = -(turn @ torch.stack([x, y], 1)[:, :, None])
        matrix = torch.cat([turn, shift], 2) @ transform
        phases = self.phases + (self.freqs @ matrix[:, :, 2:]).squeeze(2)
        return self.freqs @ matrix[:, :, :2], phases

    def _axis(self, n: int) -> Float[Tensor, " {n}"]:
        """Pixel centres in picture widths, 0 in the middle."""
        device = self.freqs.device
        return (torch.arange(n, dtype=torch.float32, device=device) + 0.5 - n / 2) / self.sampling_rate

    def forward(
        self, w: Float[Tensor, "n w_dim"], transform: Tensor | None = None
    ) -> Float[Tensor, "n {self.channels} height width"]:
        """transform: (N, 3, 3), one for each picture in place of the buffer's; gradients flow through it."""
        freqs, phases = self._placed(w, self.transform if transform is None else transform)
        amplitudes = 1 - (freqs.norm(dim=2) - self.bandwidth) / (self.sampling_rate / 2 - self.bandwidth)
        width, height = self.size
        along_x = freqs[:, :, :1] * self._axis(width)
        along_y = freqs[:, :, 1:] * self._axis(height) + phases[:, :, None]
        wave = torch.sin(2 * math.pi * (along_y[:, :, :, None] + along_x[:, :, None, :]))
        mix = self.weight / math.sqrt(self.channels) * amplitudes.clamp(0, 1)[:, None, :]
        return torch.bmm(mix, wave.flatten(2)).view(-1, self.channels, height, width)


class SynthesisLayer(HalfLayer):
    """Modulated convolution and alias-free non-linearity: (N, C, size, size), (N, w_dim) -> (N, C', size', size').

    `magnitude_ema` is the running mean square of the input; dividing by its root keeps activations at unit scale.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, w_dim: int, magnitude_ema_beta: float, clamp: float | None) -> None:
        super().__init__()
        self.plan, self.magnitude_ema_beta, self.clamp = plan, magnitude_ema_beta, clamp
        source, target = plan.source, plan.target
        self.affine = FullyConnected(w_dim, source.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(target.channels, source.channels, plan.kernel, plan.kernel))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up = lowpass_filter(plan.up_taps, source.cutoff, source.half_width * 2, plan.inner_rate)
        down = lowpass_filter(plan.down_taps, target.cutoff, target.half_width * 2, plan.inner_rate, plan.radial)
        # what the non-linearity crops whole input samples of, the convolution need not compute
        trim = min(plan.kernel - 1, max(0, -(plan.before // plan.up)), max(0, -plan.after // plan.up))
        self.conv_padding = plan.kernel - 1 - trim
        self.padding = [plan.before + trim * plan.up, plan.after + trim * plan.up] * 2
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(
        self, x: Float[Tensor, "n c h_in w_in"], w: Float[Tensor, "n w_dim"], update_emas: bool = False
    ) -> Float[Tensor, "n c_out h_out w_out"]:
        if update_emas:
            power = mean_over_ranks(x.detach().float().square().mean())
            self.magnitude_ema.copy_(power.lerp(self.magnitude_ema, self.magnitude_ema_beta))
        style = self.affine(w)
        x = x.to(working_dtype(self.half, x))
        if self.plan.is_torgb:
            return self._to_rgb(x, style)
        plan, gain = self.plan, self.magnitude_ema.rsqrt()
        weight, style = unit_weight(self.weight), unit_style(style)
        if x.dtype == torch.float16:  # unit sums keep the products below 65504; the demodulation cancels the factor
            weight = weight / math.sqrt(weight[0].numel())
        x = styled_conv2d(x, weight, style, padding=self.conv_padding, input_gain=gain)
        return filtered_lrelu(
            x,
            self.up_filter,
            self.down_filter,
            self.bias,
            up=plan.up,
            down=plan.down,
            padding=self.padding,
            clamp=self.clamp,
            scale=demodulation(weight, style),
        )

    def _to_rgb(self, x: Float[Tensor, "n c h w"], style: Float[Tensor, "n c"]) -> Float[Tensor, "n rgba h w"]:
        style = style / math.sqrt(self.plan.source.channels)
        x = modulated_conv2d(x, self.weight, style, demodulate=False, input_gain=self.magnitude_ema.rsqrt())
        return bias_act(x, self.bias, act="linear", clamp=self.clamp)


class SynthesisNetwork(nn.Module):
    """ws (N, num_ws, w_dim) -> picture (N, img_channels, img_resolution, img_resolution), about [-1, 1], unclipped."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 4,
        channel_base: float = 32768,
        channel_max: int = 512,
        num_layers: int = 14,
        num_critical: int = 2,
        first_cutoff: float = 2.0,
        first_stopband: float = 2**2.1,
        last_stopband_rel: float = 2**0.3,
        margin_size: int = 10,
        output_scale: float = 0.25,
        num_fp16_res: int = 0,
        conv_kernel: int = 3,
        filter_size: int = 6,
        lrelu_upsampling: int = 2,
        use_radial_filters: bool = False,
        conv_clamp: float | None = CLAMP,
        magnitude_ema_beta: float = 0.999,
    ) -> None:
        super().__init__()
        self.num_ws, self.output_scale = num_layers + 2, output_scale
        signal: list[Band] = bands(
            img_resolution,
            img_channels,
            channel_base,
            channel_max,
            num_layers,
            num_critical,
            first_cutoff,
            first_stopband,
            last_stopband_rel,
            margin_size,
        )
        first = signal[0]
        self.input = SynthesisInput(w_dim, first.channels, first.size, first.rate, first.cutoff)
        self.layer_names: list[str] = []
        options = LayerOptions(
            num_critical, conv_kernel, use_radial_filters, filter_size, lrelu_upsampling, num_fp16_res
        )
        for plan in layers(signal, options):
            layer = SynthesisLayer(plan, w_dim, magnitude_ema_beta, conv_clamp)
            layer.octave = round(math.log2(img_resolution / plan.target.rate))
            layer.half = torch.float16 if plan.use_fp16 else None
            setattr(self, plan.name, layer)
            self.layer_names.append(plan.name)

    def forward(
        self, ws: Float[Tensor, "n {self.num_ws} w_dim"], update_emas: bool = False
    ) -> Float[Tensor, "n rgba h w"]:
        ws = ws.to(torch.float32)
        x = self.input(ws[:, 0])
        for name, w in zip(self.layer_names, ws.unbind(1)[1:], strict=True):
            x = getattr(self, name)(x, w, update_emas=update_emas)
        return x.float() * self.output_scale
