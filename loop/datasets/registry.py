"""Generators of RGBA by name: the built-in ones, and those that installed packages announce as entry points.

It stands in `loop`, which alone knows both packages: `stylemattegan` is one of the built-in ones.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from stylematte.errors import ConfigError
from stylematte.rgba_generator import ENTRY_POINTS, RGBAGenerator

BUILT_IN = {
    "chroma": "stylematte.generators.chroma:Chroma",
    "composite": "stylematte.generators.composite:Composite",
    "directory": "stylematte.generators.directory:Directory",
    "layerdiffuse": "stylematte.generators.layerdiffuse:LayerDiffuse",
    "stylemattegan": "stylemattegan.rgba_generator:StyleMatteGAN",
}
"""As pyproject.toml announces them; here too, so that a source tree that is not installed has them."""


def generator_names() -> list[str]:
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})


def make_generator(name: str, options: Mapping[str, Any]) -> RGBAGenerator:
    """Raises ConfigError for an unknown name or option, and what the generator raises of its options' values."""
    kind = _class(name)
    known = [option for option in inspect.signature(kind).parameters]
    for option in options:
        if option not in known:
            raise ConfigError(f"generator {name} has no option '{option}', it has: {', '.join(known)}")
    needed = [key for key, value in inspect.signature(kind).parameters.items() if value.default is value.empty]
    missing = [option for option in needed if option not in options]
    if missing:
        raise ConfigError(f"generator {name} needs the option '{missing[0]}'")
    made: RGBAGenerator = kind(**options)
    return made


def _class(name: str) -> Any:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return point.load()
    near = difflib.get_close_matches(name, generator_names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"no generator '{name}', there are: {', '.join(generator_names())}{hint}")
