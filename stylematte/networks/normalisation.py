"""Mean and deviation by which a backbone's pictures are normalised: what its weights were trained with.

A third of timm's models want others than ImageNet's. A saved matter holds its own where they are not ImageNet's.
"""

from __future__ import annotations

from typing import Any

import timm

from stylematte.config import BackboneConfig

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def normalisation(config: BackboneConfig) -> tuple[Triple, Triple]:
    """(mean, deviation) of RGB in [0, 1]: as `config` gives them; else timm's for the model where weights are given;
    else ImageNet's."""
    if config.mean is not None and config.std is not None:
        return _triple(config.mean), _triple(config.std)
    about = timm.get_pretrained_cfg(config.name) if config.weights is not None else None
    if about is None or len(about.mean) != 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return _triple(about.mean), _triple(about.std)


def saved_normalisation(config: BackboneConfig) -> dict[str, list[float]]:
    """What a saved matter says of it: nothing where it is ImageNet's."""
    mean, std = normalisation(config)
    return {} if (mean, std) == (IMAGENET_MEAN, IMAGENET_STD) else {"mean": list(mean), "std": list(std)}


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
