"""The layer schedule of StyleGAN3: what each layer's rates, cutoffs, sizes, channels and filters are (Karras et al.
2021, section 3.2 and appendix C).

Frequencies are in cycles per picture width, for a picture of N x N. For layers i = 0 .. L (L, the last, is ToRGB), with
e_i = min(i / (L - critical), 1):

    cutoff      fc_i = fc_0 (fc_N / fc_0)^e_i,  fc_N = N / 2            (geometric, up to the picture's Nyquist limit)
    stopband    ft_i = ft_0 (ft_N / ft_0)^e_i,  ft_N = fc_N last_stopband_rel
    rate        s_i  = 2^ceil(log2 min(2 ft_i, N))                      (the least power of two that holds ft_i)
    half-width  fh_i = max(ft_i, s_i / 2) - fc_i                        (of the transition band)
    size        s_i + 2 margin, but N for the last two
    channels    round(min(channel_base / (2 fc_i), channel_max))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Band(NamedTuple):
    """A signal between two layers: channels, samples per side (with margin), rate, cutoff, transition half-width."""

    channels: int
    size: int
    rate: float
    cutoff: float
    half_width: float


class LayerPlan(NamedTuple):
    """One synthesis layer: from band to band, kernel size, resampling factors, taps, and padding per axis."""

    name: str
    source: Band
    target: Band
    is_torgb: bool
    is_critical: bool
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    radial: bool
    before: int
    after: int
    inner_rate: float
    use_fp16: bool


def bands(
    resolution: int,
    image_channels: int,
    channel_base: float,
    channel_max: int,
    num_layers: int = 14,
    num_critical: int = 2,
    first_cutoff: float = 2.0,
    first_stopband: float = 2**2.1,
    last_stopband_rel: float = 2**0.3,
    margin_size: int = 10,
) -> list[Band]:
    """The L + 1 signals. Raises ValueError where the numbers cannot make a generator."""
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"img_resolution={resolution}: expected a power of two of at least 16")
    if not 0 <= num_critical < num_layers:
        raise ValueError(f"num_critical={num_critical}: expected between 0 and num_layers - 1 = {num_layers - 1}")
    if margin_size < 1:
        raise ValueError(f"margin_size={margin_size}: expected at least 1")
    last = resolution / 2
    e = np.minimum(np.arange(num_layers + 1) / (num_layers - num_critical), 1)
    cutoff = first_cutoff * (last / first_cutoff) ** e
    stopband = first_stopband * (last * last_stopband_rel / first_stopband) ** e
    rate = np.exp2(np.ceil(np.log2(np.minimum(stopband * 2, resolution))))
    half_width = np.maximum(stopband, rate / 2) - cutoff
    size = rate + margin_size * 2
    size[-2:] = resolution
    channels = np.rint(np.minimum(channel_base / 2 / cutoff, channel_max))
    channels[-1] = image_channels
    rows = zip(channels, size, rate, cutoff, half_width, strict=True)
    return [Band(int(c), int(n), float(s), float(f), float(h)) for c, n, s, f, h in rows]


class LayerOptions(NamedTuple):
    """What all layers of a generator share.

    filter_size: taps per resampling factor. lrelu_upsampling: the non-linearity runs at this multiple of the higher of
    the layer's two rates. fp16_res: the layers of the so many finest octaves run in float16 on a GPU.
    """

    num_critical: int = 2
    kernel: int = 3
    radial: bool = False
    filter_size: int = 6
    lrelu_upsampling: int = 2
    fp16_res: int = 0


OFFICIAL = LayerOptions()
MOST_TAPS = 1024
"""Of one filter; the official networks have 12 to 24."""


def layers(signal: list[Band], options: LayerOptions = OFFICIAL) -> list[LayerPlan]:
    """The L + 1 layers between the signals of `bands`; layer 0 keeps the band of the input."""
    for name, value in options._asdict().items():
        if value < (0 if name in ("num_critical", "radial", "fp16_res") else 1):
            raise ValueError(f"{name}={value}: expected a positive number")
    return [_layer(i, signal, options) for i in range(len(signal))]


def _layer(i: int, signal: list[Band], options: LayerOptions) -> LayerPlan:
    source, target, last, resolution = signal[max(i - 1, 0)], signal[i], len(signal) - 1, signal[-1].size
    torgb, critical = i == last, i >= last - options.num_critical
    inner = max(source.rate, target.rate) * (1 if torgb else options.lrelu_upsampling)
    up, down = round(inner / source.rate), round(inner / target.rate)
    up_taps = options.filter_size * up if up > 1 and not torgb else 1
    down_taps = options.filter_size * down if down > 1 and not torgb else 1
    if max(up_taps, down_taps) > MOST_TAPS:
        raise ValueError(f"layer {i} has filters of {max(up_taps, down_taps):,} taps: expected at most {MOST_TAPS:,}")
    kernel = 1 if torgb else options.kernel
    # On the inner grid: the convolution leaves n = source.size + kernel - 1 samples, upsampling and its filter
    # n up + before + after - up_taps + 1, which have to be (target.size - 1) down + down_taps: hence before + after
    total = (target.size - 1) * down + 1 - (source.size + kernel - 1) * up + up_taps + down_taps - 2
    before = math.floor((total + up) / 2)  # zeros come after each sample: half of `up` more before centres the picture
    name = f"L{i}_{target.size}_{target.channels}"
    return LayerPlan(
        name,
        source,
        target,
        torgb,
        critical,
        kernel,
        up,
        down,
        up_taps,
        down_taps,
        options.radial and not critical,
        before,
        total - before,
        inner,
        target.rate * 2**options.fp16_res > resolution,
    )
