"""Alpha from a photo and a trimap by closed-form matting: Levin, Lischinski and Weiss, "A Closed-Form Solution to
Natural Image Matting" (PAMI 2008), as implemented in pymatting. No learning: a teacher for where nobody drew an alpha.

It assumes that within 3 x 3 pixels foreground and background colours each lie on a line (equation 10 ff.), and carries
the known values into the unknown band. So it is right on narrow bands between differently coloured sides, and guesses
in the middle of wide ones: see benchmarks/closed_form.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from stylematte.errors import DataError
from stylematte.ops.pymatting_methods import method, one_thread, to_rows

EPSILONS = (1e-6, 1e-5, 1e-3)
"""Regularisation of the colour model (epsilon of equation 12), tried in this order: a larger one makes the system
easier to solve and the matte smoother. The usual 1e-7 is too small for pymatting's inverse where the colours of a
window lie on a line: black-and-white pictures then come out wrong by up to 0.2, with 1e-6 they are right to 0.003."""
MAX_STEPS = 4000


def closed_form_alpha(
    image: Float[Tensor, "3 h w"],
    trimap: Float[Tensor, "1 h w"],
    max_steps: int = MAX_STEPS,
    epsilons: Sequence[float] = EPSILONS,
) -> Float[Tensor, "1 h w"]:
    """image in [0, 1], trimap in {0, 1/2, 1} -> alpha in [0, 1], float32.

    On the image's device; known pixels keep their value exactly. Minimises a' L a with the matting Laplacian L
    (equation 12) over the unknown pixels by conjugate gradients, at most `max_steps` steps for each of `epsilons`.
    Time and memory grow with the number of unknown pixels: about 25 numbers each. Raises ValueError on shapes,
    DataError if the trimap has no known foreground or background, or if no epsilon converges.
    """
    if image.ndim != 3 or image.shape[0] != 3 or trimap.shape != (1, *image.shape[1:]):
        raise ValueError(
            f"expected image (3, H, W) and trimap (1, H, W), got {tuple(image.shape)} and {tuple(trimap.shape)}"
        )
    for value, side in ((1, "foreground"), (0, "background")):
        if not (trimap == value).any():
            raise DataError(f"the trimap has no known {side}: closed-form matting needs some of both sides")
    unknown = trimap == 0.5
    if not unknown.any():
        return trimap.clone().float()
    solved = _solve(image, trimap, max_steps, epsilons).to(image.device)
    return torch.where(unknown.to(image.device), solved, trimap.to(image.device).float())


def _solve(
    image: Float[Tensor, "3 h w"], trimap: Float[Tensor, "1 h w"], max_steps: int, epsilons: Sequence[float]
) -> Float[Tensor, "1 h w"]:
    estimate_alpha_cf = method("alpha.estimate_alpha_cf")
    rows, known = to_rows(image.clamp(0, 1)), to_rows(trimap)
    for epsilon in epsilons:
        try:
            with one_thread():
                alpha = estimate_alpha_cf(
                    rows, known, laplacian_kwargs={"epsilon": epsilon}, cg_kwargs={"maxiter": max_steps}
                )
        except (ValueError, ZeroDivisionError):  # no steps left, no preconditioner; a window of one colour line
            continue
        result = torch.from_numpy(alpha).float()[None]
        if result.isfinite().all():
            return result.clamp(0, 1)
    raise DataError(f"closed-form matting did not converge in {max_steps} steps: make the unknown band narrower")
