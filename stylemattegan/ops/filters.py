"""Design of the low-pass FIR filters of StyleGAN3 (Karras et al. 2021, "Alias-Free GANs", appendix C) and StyleGAN2.

All filters are float32 with sum 1 (times a gain). Frequencies are in cycles per unit length, `fs` is the sampling rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SEPARABLE_FROM = 8
"""A 1-D filter of at least so many taps stays 1-D in `setup_filter`; a shorter one becomes its outer square."""


def setup_filter(
    taps: Tensor | Sequence[float] | Sequence[Sequence[float]] | float | None,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1.0,
    separable: bool | None = None,
) -> Float[Tensor, " taps"] | Float[Tensor, "taps_y taps_x"]:
    """A float32 filter for `upfirdn2d` from plain numbers: 1-D if separable (by default: 8 taps or more), else 2-D.

    The gain is for the 2-D response, so a 1-D filter is scaled by sqrt(gain).
    """
    f = torch.as_tensor(1.0 if taps is None else taps, dtype=torch.float32)
    if f.ndim > 2 or f.numel() == 0:
        raise ValueError(f"a filter of shape {tuple(f.shape)}: expected a number, or 1 or 2 non-empty dimensions")
    if f.ndim == 0:
        f = f[None]
    if separable and f.ndim == 2:
        raise ValueError("a 2-D filter was called separable: give its 1-D taps")
    if separable is None:
        separable = f.ndim == 1 and f.numel() >= SEPARABLE_FROM
    if f.ndim == 1 and not separable:
        f = torch.outer(f, f)
    if normalize:
        f = f / f.sum()
    if flip_filter:
        f = f.flip(list(range(f.ndim)))
    return f * gain ** (f.ndim / 2)


def kaiser_beta(numtaps: int, relative_width: float) -> float:
    """Kaiser's window parameter for n taps and a transition width given as a fraction of the Nyquist frequency.

    A = 2.285 (n - 1) pi width + 7.95 dB of attenuation; beta by Kaiser's empirical formula of A (appendix C).
    """
    attenuation = 2.285 * (numtaps - 1) * math.pi * relative_width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def lowpass_filter(
    numtaps: int, cutoff: float, width: float, fs: float, radial: bool = False
) -> Float[Tensor, " {numtaps}"] | Float[Tensor, "{numtaps} {numtaps}"] | None:
    """Kaiser-windowed low-pass with transition band `width` centred on `cutoff`; None for one tap (the identity).

    With f = cutoff, x = (k - (n - 1) / 2) / fs and w Kaiser's window, brought to sum 1 (appendix C):
    separable h[k] = sinc(2 f x) w[k], shape (numtaps,); radial h[k, l] = J1(2 pi f r) / (pi r) w[k] w[l], shape
    (numtaps, numtaps), isotropic but for the window.
    """
    if numtaps == 1:
        return None
    window = np.kaiser(numtaps, kaiser_beta(numtaps, width / (fs / 2)))
    offset = np.arange(numtaps) - (numtaps - 1) / 2
    if not radial:
        taps = np.sinc(2 * cutoff / fs * offset) * window
        return torch.as_tensor(taps / taps.sum(), dtype=torch.float32)
    r = np.hypot(*np.meshgrid(offset / fs, offset / fs))
    safe = np.where(r == 0, 1.0, r)
    jinc = torch.special.bessel_j1(torch.from_numpy(2 * np.pi * cutoff * safe)).numpy() / (np.pi * safe)
    taps = np.where(r == 0, np.pi * cutoff**2, jinc) * np.outer(window, window)
    return torch.as_tensor(taps / taps.sum(), dtype=torch.float32)
