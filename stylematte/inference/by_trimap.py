"""Alpha from a photo and a trimap without any weights: closed form (Levin et al., PAMI 2008), KNN matting (Chen et al.,
PAMI 2013) and matting with the large-kernel Laplacian (He et al., CVPR 2010), as implemented in pymatting.

Large photos are solved at the size at which the system fits in memory, and the alpha comes back along their edges.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import resize
from stylematte.inference.options import brought_back, trimap_at
from stylematte.ops.closed_form import closed_form_alpha
from stylematte.ops.pymatting_methods import method, one_thread, to_rows

Method = Literal["closed-form", "knn", "lkm"]
METHODS: tuple[str, ...] = get_args(Method)
MOST = {"closed-form": 600_000, "knn": 300_000, "lkm": 1_000_000}
"""Pixels that are solved for: of the unknown ones by closed form, which takes 1 kB for each, of all by the others."""
WORK = 4_000_000
"""Pixels of the whole photo, for closed form."""


def alpha_by(name: str, image: Tensor, trimap: Tensor) -> Tensor:
    """image (3, H, W) in [0, 1], trimap (1, H, W) in {0, 1/2, 1} -> alpha (1, H, W), known pixels as in the trimap.

    Raises ConfigError for an unknown method, DataError for a trimap without known foreground or background, or where
    the solver does not converge.
    """
    if name not in METHODS:
        raise ConfigError(f"--method {name}: expected network, {', '.join(METHODS)}")
    for value, side in ((1, "foreground"), (0, "background")):
        if not (trimap == value).any():
            raise DataError(f"the trimap has no known {side}: {name} matting needs some of both sides")
    height, width = image.shape[-2:]
    scale = _scale(name, trimap)
    size = (max(2, round(height * scale)), max(2, round(width * scale)))
    small, known = resize(image, size), trimap_at(trimap, size) if scale < 1 else trimap
    for value in (0, 1):  # what is thin at full size may be gone
        if not (known == value).any():
            raise DataError("too little of the trimap is known for so large a photo: reduce both, or mark more")
    alpha = closed_form_alpha(small, known) if name == "closed-form" else _solved(name, small, known)
    full = brought_back(alpha, small, image) if scale < 1 else alpha
    return torch.where(trimap == 0.5, full, trimap)


def _scale(name: str, trimap: Tensor) -> float:
    pixels = trimap.numel()
    counted = int((trimap == 0.5).sum()) if name == "closed-form" else pixels
    least = min(MOST[name] / max(1, counted), WORK / pixels, 1.0)
    return least**0.5


def _solved(name: str, image: Tensor, trimap: Tensor) -> Tensor:
    solve = method(f"alpha.estimate_alpha_{name}")
    try:
        with one_thread():
            alpha = torch.from_numpy(solve(to_rows(image.clamp(0, 1)), to_rows(trimap))).float()[None]
    except (ValueError, ZeroDivisionError) as error:
        raise DataError(f"{name} matting did not converge ({error}): make the unknown band narrower") from None
    if not alpha.isfinite().all():
        raise DataError(f"{name} matting did not converge: make the unknown band narrower")
    return alpha.clamp(0, 1)
