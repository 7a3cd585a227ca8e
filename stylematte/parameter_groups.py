"""AdamW's parameter groups for a matter: weight decay on matrices alone, and slower layers in the backbone.

Layer-wise learning-rate decay is BEiT's (arXiv 2106.08254, appendix): the layer k from the backbone's end learns at
`backbone_lr * layer_decay ** k` times the rate of what is behind the backbone. Layers are as timm groups its models.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models import group_parameters
from torch import nn

from stylematte.config import MatterFitConfig
from stylematte.networks.pretrained import extractor_names

NO_DECAY = ("relative_position_bias_table", "pos_embed", "absolute_pos")
BACKBONE = "backbone."


def parameter_groups(network: nn.Module, fit: MatterFitConfig) -> list[dict[str, Any]]:
    """Groups for AdamW with lr=fit.lr: matrices and kernels decay; biases, norms and position tables do not.

    Two groups where the whole network learns at one rate, more where the backbone has others.
    """
    scales = lr_scales(network, fit)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for scale in sorted({1.0, *scales.values()}, key=lambda scale: (scale != 1, -scale)):
        groups |= {(scale, True): [], (scale, False): []}
    for name, parameter in network.named_parameters():
        free = parameter.ndim <= 1 or name.endswith(NO_DECAY)
        groups[scales.get(name, 1.0), not free].append(parameter)
    return [
        {"params": group, "weight_decay": fit.weight_decay if decays else 0.0}
        | ({} if scale == 1 else {"lr": fit.lr * scale})
        for (scale, decays), group in groups.items()
    ]


def lr_scales(network: nn.Module, fit: MatterFitConfig) -> dict[str, float]:
    """Name -> factor on the learning rate, of the backbone's parameters that do not learn at the whole rate."""
    if fit.backbone_lr == 1 and fit.layer_decay == 1:
        return {}
    names = [name for name, _ in network.named_parameters() if name.startswith(BACKBONE)]
    depths = _depths(network, names) if fit.layer_decay < 1 else {}
    return {name: fit.backbone_lr * fit.layer_decay ** depths.get(name, 0) for name in names}


def _depths(network: nn.Module, names: list[str]) -> dict[str, int]:
    """Name -> how many layers lie between the parameter and the backbone's end, of those that are timm's."""
    config = network.config.backbone
    with torch.random.fork_rng(devices=[]):
        whole = timm.create_model(config.name, pretrained=False, **config.kwargs)
    layers: dict[str, int] = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
    there = set(names)
    found = {
        f"{BACKBONE}{prefix}{candidate}": layer
        for name, layer in layers.items()
        for prefix in ("extractor.", "swin.")
        for candidate in extractor_names(name)
        if f"{BACKBONE}{prefix}{candidate}" in there
    }
    last = max(found.values(), default=0)
    return {name: last - layer for name, layer in found.items()}
