"""The network that a fit starts from: random weights that depend on the seed alone, or those of a saved matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stylematte.config import NetworkConfig
from stylematte.fields import to_plain
from stylematte.networks.variants import build_matter
from stylematte.networks.weights import load_matter
from stylematte.sampling import position_seed


def build_network(config: NetworkConfig, seed: int, init_from: str | None = None) -> nn.Module:
    """A network whose random start depends on `seed` alone, or the matter in folder `init_from`.

    A saved matter keeps its architecture; the `switches` of its options are `config`'s. Raises ValueError if the saved
    one has another architecture than `config` asks for.
    """
    if init_from is None:
        return _build_at(config, seed)
    loaded = load_matter(init_from)
    for key, saved, asked in mismatches(loaded.config, config):
        raise ValueError(f"matter in {init_from}: {key} is {saved!r}, the config asks for {asked!r}")
    if not config.switches:
        return loaded
    switches = {name: getattr(config, name) for name in config.switches}
    built = _build_at(replace(loaded.config, **switches), seed)
    new, old = built.state_dict(), loaded.state_dict()  # a switch may add a head, or take it away
    built.load_state_dict(new | {name: tensor for name, tensor in old.items() if name in new})
    return built


def mismatches(saved: NetworkConfig, asked: NetworkConfig) -> list[tuple[str, Any, Any]]:
    """(dotted key, value of the saved matter, value asked for) wherever the asked network cannot take its weights.

    Pictures are normalised as the saved one has it, unless `asked` says otherwise in numbers.
    """
    kept = {"backbone.weights", *asked.switches}
    kept |= {f"backbone.{name}" for name in ("mean", "std") if getattr(asked.backbone, name) is None}
    wrong = differences(to_plain(saved), to_plain(asked))
    return [(key, one, other) for key, one, other in wrong if key not in kept]


def differences(one: dict[str, Any], other: dict[str, Any], name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value in one, value in other) wherever two nested dictionaries differ; None where a key is absent.

    What both have as dictionaries is compared key by key.
    """
    for key in dict.fromkeys([*one, *other]):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from differences(first, second, f"{name}{key}.")
        elif first != second:
            yield name + key, first, second


def _build_at(config: NetworkConfig, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(position_seed(seed, "matter", "init"))
        return build_matter(config)
