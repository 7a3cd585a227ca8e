"""Mattes of photos by way of their enhanced versions, for the photos' own pixels; the plain one where the gate says so.

The photo is moved at twice the generator's size at most, cut out by the plain alpha that was written; the change,
scaled up, is added to the photo, and the matter is asked again. What leaves is an alpha for the photo as it was: no
pixel of it is changed in the cut-out. All of it happens where the matter's network is, in its precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from loop.fitting.enhancement import Enhancer, frozen_matter
from stylematte.imagefile import read_alpha, read_rgb, resize
from stylematte.inference.matte import Matted, Outputs, read_background, write_files
from stylematte.inference.matter import Matter
from stylematte.inference.options import InferenceOptions
from stylematte.sheets import to_longest_side
from stylemattegan.enhance import pair_critic
from stylemattegan.generator_folder import LoadedGenerator
from stylemattegan.inversion import random_pyramid
from stylemattegan.latent_config import GateConfig, InvertConfig
from stylemattegan.networks.weights import load_all

GUARD = GateConfig(min_iou=0.9, tolerance=0, max_band=0.15)
"""Looser than for training labels: the generator need not have the photo's hair to say where its subject is."""


def guarded(matter: Matter, generator: LoadedGenerator, invert: InvertConfig | None = None) -> Enhancer:
    """What enhances photos for this matter, where its network is. generator: with alpha, unconditional."""
    place = next(matter.network.parameters()).device
    has_critic = (generator.folder / "D.safetensors").is_file()
    return Enhancer(
        generator.network.to(place),
        frozen_matter(matter.network),
        random_pyramid(place),
        pair_critic(load_all(generator.folder)[1].to(place)) if has_critic else None,
        generator.straight,
        gate=GUARD,
        invert=invert or InvertConfig(),
    )


def enhanced_mattes(
    enhancer: Enhancer, matter: Matter, written: Sequence[Matted], options: InferenceOptions, outputs: Outputs
) -> Iterator[str]:
    """Replace the files of each photo where the gate accepts the enhanced one; a line on each of what moved."""
    behind = None if outputs.background is None else read_background(outputs.background)
    for done in written:
        yield f"{done.photo.name}: {_enhanced(enhancer, matter, done, options, outputs, behind)}"


def _enhanced(
    enhancer: Enhancer,
    matter: Matter,
    done: Matted,
    options: InferenceOptions,
    outputs: Outputs,
    background: torch.Tensor | None,
) -> str:
    photo, plain = read_rgb(done.photo), read_alpha(done.files["alpha"])
    place = next(matter.network.parameters()).device
    longest = min(max(photo.shape[-2:]), 2 * enhancer.generator.img_resolution)
    small, known = (to_longest_side(each, longest)[None].to(place) for each in (photo, plain))
    try:
        found, _, numbers = enhancer.photos(small, known)
    except ValueError as error:
        return f"plain matte ({error})"
    reason = enhancer.judged(found, numbers)[0].reason
    if reason is not None:
        return f"plain matte ({reason})"
    change = resize((found.picture - small)[0].cpu(), (photo.shape[-2], photo.shape[-1]))
    alpha: torch.Tensor = matter((photo + change).clamp(0, 1), options=options)
    write_files(done.files, photo, alpha, outputs, background)
    before, after = (float(figures.entropy[0]) for figures in (found.before, found.after))
    moved = f"picture by {float(found.rmse[0]):.4f}, alpha by {float((alpha - plain).abs().mean()):.4f}"
    return f"enhanced, moved {moved} on average; entropy {before:.4f} -> {after:.4f}"
