"""The encoder: any timm model with `features_only`, made to give four NCHW maps at strides 4, 8, 16, 32.

Nothing is downloaded here: weights are random, or come from a local file or the hub's cache.
"""

from __future__ import annotations

import difflib
from functools import partial
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from stylematte.config import RESERVED, BackboneConfig
from stylematte.errors import ConfigError
from stylematte.networks.normalisation import normalisation
from stylematte.networks.pretrained import build_filled

PROBE = (64, 96)  # not square, so that a wrong layout cannot pass for a right one
# What different families call "take pictures of any size"; a family that knows neither takes any size anyway, or none.
ANY_SIZE: tuple[dict[str, Any], ...] = ({"strict_img_size": False}, {"dynamic_img_size": True}, {})


def check_name(name: str) -> None:
    """Raise ConfigError with near names unless timm knows the architecture `name`."""
    if ":" not in name and timm.is_model(name):
        return
    architecture = name.rsplit(":", 1)[-1].split(".")[0]
    near = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() lists the names"
    raise ConfigError(f"backbone {name!r}: timm {timm.__version__} has no such model; {hint}")


def _create(name: str, kwargs: dict[str, Any], weights: dict[str, Any]) -> nn.Module:
    """The timm feature extractor, of its last four stages (ViT-like ones may have fewer: the probe refuses them).

    weights: what timm is told of them.
    """
    reserved = sorted(RESERVED & kwargs.keys())
    if reserved:
        raise ConfigError(f"backbone {name!r}: kwargs may not hold {', '.join(reserved)}; use backbone.weights")
    for any_size in ANY_SIZE:
        known = {**any_size, **kwargs, **weights}
        try:
            return timm.create_model(name, features_only=True, out_indices=(-4, -3, -2, -1), **known)
        except TypeError as error:
            if not any(key in str(error) for key in any_size if key not in kwargs):
                raise ConfigError(f"backbone {name!r}: kwargs {kwargs} were refused: {error}") from error
        except (RuntimeError, ValueError, AssertionError, AttributeError, ArithmeticError, LookupError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"backbone {name!r}: cannot give four feature maps with {kwargs}: {reason}") from error
    raise ConfigError(f"backbone {name!r}: kwargs {kwargs} were refused")


class Backbone(nn.Module):
    """image (N, 3, H, W) in [0, 1], H and W multiples of `stride` -> four maps, NCHW, finest first.

    Normalises by the mean and deviation that its weights are used to. Attributes: channels and strides of the maps
    (lists of 4), stride (the coarsest). Raises ConfigError.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.name = name = config.name
        check_name(name)
        self.extractor = build_filled(config, partial(_create, name, dict(config.kwargs)))
        self.channels: list[int] = list(self.extractor.feature_info.channels())
        self.strides: list[int] = list(self.extractor.feature_info.reduction())
        if self.strides != [4, 8, 16, 32]:
            raise ConfigError(f"backbone {name!r}: its last maps have strides {self.strides}, needed is 4, 8, 16, 32")
        self.stride = self.strides[-1]
        mean, std = normalisation(config)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.channels_last = self._probe()

    @torch.no_grad()
    def _probe(self) -> bool:
        """True if the maps come as NHWC. One small forward also finds models that take a single size only."""
        self.extractor.eval()
        try:
            maps = self.extractor(torch.zeros(1, 3, *PROBE))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ConfigError(
                f"backbone {self.name!r}: takes pictures of one size only ({str(error).splitlines()[0]}); "
                "choose another, for example swin_tiny_patch4_window7_224"
            ) from error
        finally:
            self.extractor.train()
        got = [tuple(m.shape[1:]) for m in maps]
        grid = [(PROBE[0] // s, PROBE[1] // s) for s in self.strides]
        if got == [(c, *hw) for c, hw in zip(self.channels, grid, strict=True)]:
            return False
        if got == [(*hw, c) for c, hw in zip(self.channels, grid, strict=True)]:
            return True
        raise ConfigError(f"backbone {self.name!r}: maps of shapes {got} for a picture of {PROBE}; choose another")

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        maps = self.extractor((image - self.mean) / self.std)
        if self.channels_last:
            maps = [m.permute(0, 3, 1, 2).contiguous() for m in maps]
        return list(maps)
