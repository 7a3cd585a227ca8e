"""What a matter's fit starts from, checked before any work: the network can be built, its weights are there and fit."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

from loop.config.schema import Config
from loop.engine.step import step_folder
from loop.runs.verify import sound
from stylematte.config import PUBLISHED, BackboneConfig
from stylematte.errors import ConfigError
from stylemattegan.config import CompositeDiscriminatorKind


def obtain_published(config: Config) -> None:
    """Have the weights that `weights: timm` asks for in the hub's cache, downloaded if they are not. ConfigError."""
    for key, backbone in _backbones(config):
        if backbone.weights == PUBLISHED:
            from stylematte.networks.backbone import check_name
            from stylematte.networks.pretrained import obtain

            try:
                check_name(backbone.name)
                obtain(backbone.name)
            except ConfigError as error:
                raise ConfigError(f"{key}.weights=timm: {error}") from None


def _backbones(config: Config) -> Iterator[tuple[str, BackboneConfig]]:
    yield "matter.network.backbone", config.matter.network.backbone
    composite = config.generator.composite_discriminator
    if composite.kind is CompositeDiscriminatorKind.projected:
        yield "generator.composite_discriminator.backbone", composite.backbone


def check_start(config: Config, folder: Path) -> None:
    """Refuse, before pictures are prepared, a network that cannot be built and weights that do not fit it.

    Only while that matters: once round 0 has its matter, nothing is looked at. Raises ConfigError, DataError,
    WeightsError.
    """
    if (step_folder(folder, "00/fit_matter") / "stage.json").is_file():
        return
    _check_network(config)
    if config.matter.init_from is not None:
        _check_matter(config, Path(config.matter.init_from))


def _check_network(config: Config) -> None:
    import torch

    from stylematte.networks.backbone import check_name
    from stylematte.networks.variants import build_matter

    name, network = config.matter.network.backbone.name, copy.deepcopy(config.matter.network)
    try:
        check_name(name)
    except ConfigError as error:
        raise ConfigError(f"matter.network.backbone.name={name}: {error}") from None
    network.backbone.weights = PUBLISHED if network.backbone.weights == PUBLISHED else None
    with torch.random.fork_rng(devices=[]):
        try:
            build_matter(network)
        except (ValueError, RuntimeError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"matter.network: cannot be built: {said}") from None


def _check_matter(config: Config, given: Path) -> None:
    from stylematte.inference.matter import matter_folder
    from stylematte.networks.start import mismatches
    from stylematte.networks.weights import load_matter, read_network_config

    folder = sound(matter_folder(given))
    wrong = mismatches(read_network_config(folder), config.matter.network)
    if wrong:
        words = " ".join(f"'matter.network.{key}={_word(saved)}'" for key, saved, _ in wrong)
        key, saved, asked = wrong[0]
        raise ConfigError(
            f"matter.init_from={given}: does not fit matter.network: its {key} is {_word(saved)}, the configuration "
            f"asks for {_word(asked)}; add {words}"
        )
    load_matter(folder)


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
