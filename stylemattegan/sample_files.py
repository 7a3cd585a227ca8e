"""Pictures of a generator as files: a PNG per seed that says how it was made, a sheet of them, and animated walks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from stylematte.errors import BadPicture, ConfigError
from stylematte.imagefile import read_text, write_animation, write_rgba
from stylematte.sheets import write_cutout_sheet
from stylemattegan.generator_folder import LoadedGenerator
from stylemattegan.sample import psi_for_seed, sample, transform_matrix, transformed
from stylemattegan.sample_walk import walk

BATCH, FPS = 16, 30
MOST_FRAMES, MOST_BYTES = 10_000, 8 * 2**30
"""Of a walk; all its frames are held in memory."""
TEXT = "stylematte"
"""Under this name every PNG has, as JSON, what made it."""

Recipe = dict[str, Any]
"""seed, psi and all else that a picture is a function of: JSON."""


@dataclass(frozen=True)
class Look:
    """What the pictures of one call have in common; see `LoadedGenerator.sample`."""

    psi: tuple[float, float] = (0.7, 1.0)
    cutoff: int | None = None
    label: int | None = None
    translate: tuple[float, float] = (0.0, 0.0)
    rotate: float = 0.0
    seeds_of: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.psi[0] <= self.psi[1] < math.inf:
            raise ConfigError(f"--psi {self.psi}: expected one number or 'low high', above 0 (psi 0 gives one picture)")


class Samples(NamedTuple):
    files: list[Path]
    there: int
    """So many of them were there already."""
    sheet: Path
    on_sheet: int


def write_samples(
    generator: LoadedGenerator,
    seeds: Sequence[int],
    out: Path,
    look: Look,
    grid: tuple[int, int] = (8, 8),
    track: Callable[[Iterable[Sequence[Recipe]]], Iterable[Sequence[Recipe]]] = iter,
) -> Samples:
    """Write SEED.png of each seed (those that are there are left alone), sheet.png and samples.jsonl into `out`.

    grid: columns and rows of the sheet. Raises ConfigError.
    """
    common = _common(generator, look)
    recipes = [{**common, "seed": seed, "psi": psi_for_seed(seed, look.psi)} for seed in seeds]
    files = {recipe["seed"]: out / f"{recipe['seed']:06d}.png" for recipe in recipes}
    options = generator.options(look.label, look.cutoff, look.seeds_of)
    due = [recipe for recipe in recipes if not _is_there(files[recipe["seed"]], recipe)]
    with transformed(generator.network, transform_matrix(look.translate, look.rotate)):
        for part in track([due[start : start + BATCH] for start in range(0, len(due), BATCH)]):
            pictures = sample(generator.network, [r["seed"] for r in part], [r["psi"] for r in part], BATCH, **options)
            for recipe, rgba in zip(part, pictures, strict=True):
                write_rgba(files[recipe["seed"]], rgba, text={TEXT: json.dumps(recipe, sort_keys=True)})
    columns, rows = grid
    write_cutout_sheet(out / "sheet.png", list(files.values()), columns, most=columns * rows)
    lines = [json.dumps({"file": files[r["seed"]].name, **r}, sort_keys=True) + "\n" for r in recipes]
    (out / "samples.jsonl").write_text("".join(lines))
    return Samples(list(files.values()), len(recipes) - len(due), out / "sheet.png", min(len(recipes), columns * rows))


def write_walk(
    generator: LoadedGenerator,
    seeds: Sequence[int],
    file: Path,
    look: Look,
    frames: int = 30,
    grid: tuple[int, int] = (1, 1),
    track: Callable[[Iterable[Tensor]], Iterable[Tensor]] = iter,
) -> int:
    """Write an animation (.webp or .png by the name, with alpha) through the seeds at psi[1]; the number of frames.

    frames: from one seed to the next. grid: columns and rows of cells, each with seeds of its own. Raises ConfigError.
    """
    columns, rows = grid
    options = generator.options(look.label, look.cutoff, look.seeds_of)
    check_walk(file, seeds, frames, grid)
    size = walk_frames(seeds, frames, grid) * columns * rows * generator.network.img_resolution**2 * 4
    if size > MOST_BYTES:
        raise ConfigError(
            f"--walk: its frames are {size / 2**30:.0f} GiB, at most {MOST_BYTES / 2**30:.0f}: give fewer"
        )
    with transformed(generator.network, transform_matrix(look.translate, look.rotate)):
        path = walk(generator.network, seeds, look.psi[1], frames, columns=columns, rows=rows, **options)
        write_animation(file, track(path), FPS)
    return walk_frames(seeds, frames, grid)


def walk_frames(seeds: Sequence[int], frames: int, grid: tuple[int, int]) -> int:
    return len(seeds) // (grid[0] * grid[1]) * frames


def check_walk(file: Path, seeds: Sequence[int], frames: int, grid: tuple[int, int]) -> None:
    """Raises ConfigError for a walk that cannot be made."""
    cells = grid[0] * grid[1]
    if file.suffix.lower() not in (".webp", ".png"):
        raise ConfigError(f"--walk {file.name}: expected a name that ends in .webp or .png")
    if len(seeds) % cells or len(seeds) < 2 * cells:
        raise ConfigError(f"--walk through {len(seeds)} seeds: give 2 or more for each of {cells} cells")
    if frames < 1:
        raise ConfigError(f"--frames {frames}: give at least 1")
    if walk_frames(seeds, frames, grid) > MOST_FRAMES:
        asked = walk_frames(seeds, frames, grid)
        raise ConfigError(f"--walk of {asked} frames: at most {MOST_FRAMES}; give fewer seeds or --frames")


def _common(generator: LoadedGenerator, look: Look) -> Recipe:
    return {
        "generator": generator.digest,
        "latents": look.seeds_of or generator.seeds_of,
        "straight": generator.straight,
        "cutoff": look.cutoff,
        "class": look.label,
        "translate": list(look.translate),
        "rotate": look.rotate,
    }


def _is_there(file: Path, recipe: Recipe) -> bool:
    """Whether this very picture was written and can be read to its end."""
    try:
        return bool(json.loads(read_text(file).get(TEXT, "{}")) == recipe)
    except (BadPicture, ValueError):
        return False
