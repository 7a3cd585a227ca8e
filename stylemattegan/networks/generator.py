"""The StyleGAN3 generator: latent -> encoded RGBA cut-out (Karras et al. 2021)."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from stylemattegan.networks.mapping import MappingNetwork
from stylemattegan.networks.synthesis import CLAMP, SynthesisNetwork


class Generator(nn.Module):
    """z (N, z_dim) -> picture (N, img_channels, img_resolution, img_resolution) in the [-1, 1] encoding, unclipped.

    Defaults are those of StyleGAN3-T; R is conv_kernel=1, use_radial_filters=True and doubled channels. Small pictures
    do well with fewer layers (num_layers=8) and a smaller margin. num_fp16_res: layers of the so many finest octaves
    run in float16 on a GPU (the official code: 4). `config` holds all arguments as plain numbers.
    """

    def __init__(
        self,
        z_dim: int = 512,
        w_dim: int = 512,
        img_resolution: int = 256,
        img_channels: int = 4,
        c_dim: int = 0,
        mapping_layers: int = 2,
        channel_base: float = 32768,
        channel_max: int = 512,
        num_layers: int = 14,
        num_critical: int = 2,
        margin_size: int = 10,
        first_cutoff: float = 2.0,
        first_stopband: float = 2**2.1,
        last_stopband_rel: float = 2**0.3,
        output_scale: float = 0.25,
        num_fp16_res: int = 0,
        conv_kernel: int = 3,
        filter_size: int = 6,
        lrelu_upsampling: int = 2,
        use_radial_filters: bool = False,
        conv_clamp: float | None = CLAMP,
        magnitude_ema_beta: float = 0.999,
        w_avg_beta: float = 0.998,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        self.config: dict[str, Any] = arguments
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(
            w_dim,
            img_resolution,
            img_channels,
            channel_base=channel_base,
            channel_max=channel_max,
            num_layers=num_layers,
            num_critical=num_critical,
            first_cutoff=first_cutoff,
            first_stopband=first_stopband,
            last_stopband_rel=last_stopband_rel,
            margin_size=margin_size,
            output_scale=output_scale,
            num_fp16_res=num_fp16_res,
            conv_kernel=conv_kernel,
            filter_size=filter_size,
            lrelu_upsampling=lrelu_upsampling,
            use_radial_filters=use_radial_filters,
            conv_clamp=conv_clamp,
            magnitude_ema_beta=magnitude_ema_beta,
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, mapping_layers, w_avg_beta=w_avg_beta)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        psi: float | Tensor = 1.0,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Float[Tensor, "n {self.img_channels} {self.img_resolution} {self.img_resolution}"]:
        """psi: truncation toward the mean picture, a number or one per sample (N,). c (N, c_dim) if conditional.

        update_emas: move w_avg and the layers' magnitude EMAs (only in the generator pass of the D phase).
        """
        ws = self.mapping(z, c, psi=psi, truncation_cutoff=truncation_cutoff, update_emas=update_emas)
        return self.synthesis(ws, update_emas=update_emas)
