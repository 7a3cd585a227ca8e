"""A grid of prompts whose axes are sampled evenly: the prompt and the cell of each position, by numbers of its own.

Each axis goes through a permutation of its choices, lap by lap, independent of the other axes: after k samples of an
axis with k choices each was drawn once. The cell is logged with each sample, and the card of a data set has the
acceptance of every choice, so that a bias of the generator or of the rules is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylematte.errors import ConfigError
from stylematte.sampling import position_seed

TEMPLATE = "{framing} photo of {age} with {skin_tone} skin and {hair} hair, {pose}, wearing {clothing}, {light}"
AXES: dict[str, tuple[str, ...]] = {
    "framing": ("a close-up", "a head and shoulders", "a half-length", "a full-length"),
    "pose": ("facing the camera", "in three-quarter view", "in profile", "looking over the shoulder", "arms crossed"),
    "hair": (
        *("short straight", "long straight", "short curly", "long curly", "wavy", "coily", "braided", "windblown"),
        *("tied back", "shaved", "afro-textured", "frizzy", "grey", "dyed bright", "hidden under a scarf, no visible"),
    ),
    "clothing": ("a plain shirt", "a knitted sweater", "a suit", "a lace dress", "a fur-trimmed coat", "sportswear"),
    "age": ("a child", "a teenager", "a young adult", "a middle-aged person", "an elderly person"),
    "skin_tone": ("very light", "light", "medium", "tan", "brown", "dark"),
    "light": ("soft daylight", "hard sunlight", "backlight with a rim", "studio light", "dim indoor light"),
}
KEYS = ("template", "axes", "seed")


def prompt_at(grid: Mapping[str, Any], position: int) -> tuple[str, dict[str, str]]:
    """(prompt, axis -> choice) of a position. grid: {template, axes, seed}, each optional. Raises ConfigError."""
    for key in grid:
        if key not in KEYS:
            raise ConfigError(f"prompts.{key}: expected {', '.join(KEYS)}")
    axes: Mapping[str, Sequence[str]] = grid.get("axes", AXES)
    cell = {axis: _choice(axis, choices, int(grid.get("seed", 0)), position) for axis, choices in axes.items()}
    try:
        return str(grid.get("template", TEMPLATE)).format(**cell), cell
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"prompts.template: names {error}, which is no axis; there are: {', '.join(axes)}") from None


def _choice(axis: str, choices: Sequence[str], seed: int, position: int) -> str:
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ConfigError(f"prompts.axes.{axis}: expected a list of words")
    lap, index = divmod(position, len(choices))
    order = np.random.default_rng(position_seed(seed, "prompts", axis, lap)).permutation(len(choices))
    return str(choices[int(order[index])])
