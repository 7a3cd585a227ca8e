"""Mattes of photos by way of their enhanced versions, for the photos' own pixels; the plain one where the gate says so.

The photo is moved at twice the generator's size at most; the change, scaled up, is added to the photo, and the matter
is asked again. What leaves is an alpha for the photo as it was: no pixel of it is changed in the cut-out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import stylemattegan
from loop.fitting.enhancement import Enhancer, frozen_matter
from stylematte.imagefile import read_rgb, resize, write_alpha, write_rgba
from stylematte.inference.matte import Matted
from stylematte.inference.matter import Matter, cut_out
from stylematte.inference.options import InferenceOptions
from stylematte.sheets import to_longest_side
from stylemattegan.enhance import pair_critic
from stylemattegan.generator_folder import load_folder
from stylemattegan.inversion import random_pyramid
from stylemattegan.inversion.code import demand_rgba
from stylemattegan.latent_config import GateConfig, InvertConfig
from stylemattegan.networks.weights import load_all

GUARD = GateConfig(min_iou=0.9, max_band=0.15)
"""Looser than for training labels: the generator need not have the photo's hair to say where its subject is."""


def enhanced_mattes(
    matter: Matter,
    generator: Path,
    written: Sequence[Matted],
    options: InferenceOptions,
    bits: int = 8,
    invert: InvertConfig | None = None,
) -> Iterator[str]:
    """Replace alpha and cut-out of each photo where the gate accepts the enhanced one; a line on each of what moved.

    Raises DataError, WeightsError for what is no generator with alpha.
    """
    found = load_folder(stylemattegan.load(generator).folder)
    demand_rgba(found.network)
    critic = pair_critic(load_all(found.folder)[1]) if (found.folder / "D.safetensors").is_file() else None
    matte = frozen_matter(matter.network)
    enhancer = Enhancer(
        found.network, matte, random_pyramid(), critic, found.straight, gate=GUARD, invert=invert or InvertConfig()
    )
    for done in written:
        yield f"{done.photo.name}: {_enhanced(enhancer, matter, done, options, bits)}"


def _enhanced(enhancer: Enhancer, matter: Matter, done: Matted, options: InferenceOptions, bits: int) -> str:
    photo = read_rgb(done.photo)
    small = to_longest_side(photo, min(max(photo.shape[-2:]), 2 * enhancer.generator.img_resolution))
    try:
        found, _, numbers = enhancer.photos(small[None])
    except ValueError as error:
        return f"plain matte ({error})"
    reason = enhancer.judged(found, numbers)[0].reason
    if reason is not None:
        return f"plain matte ({reason})"
    change = resize(found.picture[0] - small, (photo.shape[-2], photo.shape[-1]))
    plain, alpha = (matter(each, options=options) for each in (photo, (photo + change).clamp(0, 1)))
    write_alpha(done.files["alpha"], alpha, bits)
    if "cutout" in done.files:
        write_rgba(done.files["cutout"], cut_out(photo, alpha), bits)
    before, after = (float(figures.entropy[0]) for figures in (found.before, found.after))
    moved = f"picture by {float(found.rmse[0]):.4f}, alpha by {float((alpha - plain).abs().mean()):.4f}"
    return f"enhanced, moved {moved} on average; entropy {before:.4f} -> {after:.4f}"
