"""ADA's colour augmentations for encoded RGBA (colour, octave filter, noise, cutout): alpha and the grey of transparent
pixels stay.

The encoded colour is alpha (2F - 1). A change of 2F - 1 is therefore a change of the encoded colour by alpha times as
much, which vanishes where nothing is seen.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from stylematte.sampling import generator_at

# Low-pass filter of the symlet wavelet with 2 vanishing moments (Daubechies 1992), scaled to sum 1.
SYM2 = (-0.09150635094610965, 0.15849364905389035, 0.5915063509461096, 0.34150635094610965)
BANDS = 4


def _changed(encoded: Tensor, change: Tensor) -> Tensor:
    """The picture with `change` (N, 3, H, W) added to its straight colour 2F - 1."""
    rgb, alpha = encoded[:, :3], encoded[:, 3:]
    return torch.cat([rgb + (alpha + 1) / 2 * change, alpha], dim=1)


def apply_colour(encoded: Tensor, transform: Tensor) -> Tensor:
    """Colour change of encoded RGBA by `transform` (N, 3, 4, see `augment.colour_transform`)."""
    transform = transform.to(encoded.device, encoded.dtype)
    rgb, alpha = encoded[:, :3], encoded[:, 3:]
    seen = torch.cat([rgb, (alpha + 1) / 2], dim=1).flatten(2)
    return torch.cat([(transform @ seen).view_as(rgb), alpha], dim=1)


@lru_cache(maxsize=1)
def band_filters() -> Tensor:
    """(4, 43) in float64: the impulse responses of four octaves, the coarsest first; they add up to the identity.

    With the autocorrelations L and H of the low- and high-pass filters, L + H = 1: the finest band is H(z), then
    L(z) H(z^2), L(z) L(z^2) H(z^4), and the rest L(z) L(z^2) L(z^4).
    """
    low = torch.tensor(SYM2, dtype=torch.float64)
    high = low * torch.tensor([1.0, -1, 1, -1], dtype=torch.float64)

    def autocorrelation(taps: Tensor, spread: int) -> Tensor:
        """Of the filter with spread - 1 zeros between its taps."""
        result = torch.zeros(6 * spread + 1, dtype=torch.float64)
        for i, one in enumerate(taps):
            for j, other in enumerate(taps):
                result[(i - j + 3) * spread] += one * other
        return result

    def convolve(a: Tensor, b: Tensor) -> Tensor:
        return F.conv1d(a.view(1, 1, -1), b.flip(0).view(1, 1, -1), padding=len(b) - 1).flatten()

    coarser, bands = torch.ones(1, dtype=torch.float64), []
    for octave in range(BANDS - 1):
        bands.insert(0, convolve(coarser, autocorrelation(high, 2**octave)))
        coarser = convolve(coarser, autocorrelation(low, 2**octave))
    bands.insert(0, coarser)
    width = len(coarser)
    return torch.stack([F.pad(band, [(width - len(band)) // 2] * 2) for band in bands])


@lru_cache(maxsize=16)
def _band_matrices(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(4, size, size): each band as a matrix along one axis, the picture mirrored about its outermost pixels."""
    filters = band_filters()
    reach = filters.shape[1] // 2
    period = max(2 * (size - 1), 1)
    index = (torch.arange(size)[:, None] + torch.arange(-reach, reach + 1)).remainder(period)
    index = torch.minimum(index, period - index)
    matrices = torch.zeros(BANDS, size, size, dtype=torch.float64)
    matrices.scatter_add_(2, index.expand(BANDS, -1, -1), filters[:, None, :].expand(-1, size, -1))
    return matrices.to(device, dtype)


def apply_bands(encoded: Tensor, gains: Tensor) -> Tensor:
    """Amplify the octaves of the colour by `gains` (N, 4), the coarsest first, along both axes.

    What the filter changes of the encoded colour is weighed by alpha, so none of it runs out of the subject.
    """
    rgb = encoded[:, :3]
    gains = gains.to(encoded.device, encoded.dtype)
    rows, columns = (
        torch.einsum("nb,bij->nij", gains, _band_matrices(size, encoded.device, encoded.dtype)).unsqueeze(1)
        for size in rgb.shape[2:]
    )
    return _changed(encoded, rows @ rgb @ columns.transpose(2, 3) - rgb)


def apply_noise(encoded: Tensor, sigma: Tensor, seed: Tensor) -> Tensor:
    """Gaussian noise of standard deviation `sigma` (N,) on 2F - 1, drawn for each picture from its `seed` (N,)."""
    drawn = [torch.randn(3, *encoded.shape[2:], generator=generator_at(int(one))) for one in seed.tolist()]
    noise = torch.stack(drawn).to(encoded.device, encoded.dtype)
    return _changed(encoded, sigma.to(noise).view(-1, 1, 1, 1) * noise)


def apply_cutout(encoded: Tensor, centre: Tensor, side: Tensor) -> Tensor:
    """Grey out a square: `centre` (N, 2) as (x, y) and `side` (N,), in fractions of the size; side 0 = none."""
    height, width = encoded.shape[2:]

    def outside(n: int, middle: Tensor) -> Tensor:
        return ((torch.arange(n) + 0.5) / n - middle[:, None]).abs() >= side[:, None] / 2

    kept = outside(width, centre[:, 0])[:, None, None, :] | outside(height, centre[:, 1])[:, None, :, None]
    rgb, alpha = encoded[:, :3], encoded[:, 3:]
    return torch.cat([rgb * kept.to(rgb), alpha], dim=1)
