"""generator.init_from: whether the folders hold generators that this run can go on from, without opening weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loop.config.schema import Config

DESCRIPTION = "generator.json"
INIT_FILES = (DESCRIPTION, "G.safetensors", "D.safetensors", "G_ema.safetensors")
NEEDED = (DESCRIPTION, "D.safetensors", "G_ema.safetensors")
"""Start weights have no G of their own."""
LARGEST = 2**24
"""Bytes of a description."""
CURE = "make one with stylematte import-generator FILE.pkl -o DIR --rgba"


def initial_generators(config: Config) -> Iterator[str]:
    """One line for each folder that cannot be used."""
    for domain, folder in config.generator.init_from.items():
        name = f"generator.init_from.{domain}"
        if domain not in config.data.domains:
            yield f"{name}: '{domain}' is not one of data.domains ({', '.join(config.data.domains)})"
            continue
        problem = _problem(Path(folder).expanduser(), config)
        if problem:
            yield f"{name}={folder}: {problem}"


def _problem(folder: Path, config: Config) -> str | None:
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if missing:
        return f"holds no {missing[0]}; {CURE}"
    try:
        if (folder / DESCRIPTION).stat().st_size > LARGEST:
            raise ValueError("larger than a description")
        about: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        networks = [about["generator"], about["discriminator"]]
        for network in networks:
            wrong = _mismatch(network, config)
            if wrong:
                return wrong
        group = networks[1].get("mbstd_group_size", 4)
        if group is not None and not isinstance(group, int):
            raise TypeError(type(group).__name__)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return f"its {DESCRIPTION} does not describe a generator; {CURE}"
    if group and config.generator.fit.batch % group:
        return f"its discriminator compares groups of {group}; generator.fit.batch must be a multiple of it"
    return None


def _mismatch(network: dict[str, Any], config: Config) -> str | None:
    size, channels, classes = network["img_resolution"], network["img_channels"], network.get("c_dim", 0)
    if channels != 4:
        return f"has {channels} channels, the loop needs 4 (RGBA); import it with --rgba"
    if size != config.data.size:
        return f"makes pictures of {size} x {size}; set data.size={size}"
    if classes:
        return f"wants one of {classes} classes, the loop has none; start from an unconditional one"
    return None
