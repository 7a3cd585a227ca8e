"""Weights of backbones: from a local file in timm's format, or those that timm publishes for the model (weights: timm).

timm's are taken from the Hugging Face hub's cache (HF_HOME, HF_HUB_CACHE). `obtain` alone downloads; whoever builds a
network reads the cache or says that the file is not there. Files are strangers' data: nothing in them is run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from stylematte.config import PUBLISHED, BackboneConfig
from stylematte.errors import ConfigError, WeightsError
from stylematte.untrusted.files import read_checkpoint, read_safetensors
from stylematte.untrusted.filling import demand_numbers

log = logging.getLogger("stylematte")

INSTEAD = "or give a local .safetensors or .pth file"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """A state dict from a local .safetensors or .pth file, of which nothing is run; ConfigError if it cannot be."""
    path = Path(path).expanduser()
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        return read_checkpoint(path, ("state_dict_ema", "state_dict", "model"))[0]
    except WeightsError as error:
        raise ConfigError(f"backbone weights {error}; give a local .safetensors or .pth, or null") from None


def extractor_names(key: str) -> tuple[str, str, str]:
    """What a tensor of a timm classifier may be called in its feature extractor: `layers.0.x` is `layers_0.x` there."""
    return key, re.sub(r"^(\w+?)\.(\d+)\.", r"\1_\2.", key), f"model.{key}"


def load_weights(extractor: nn.Module, path: str | Path) -> None:
    """Fill a feature extractor from a timm classifier's file; the classifier's head and last norm are left over."""
    given = read_state_dict(path)
    found: dict[str, Tensor] = {}
    target = extractor.state_dict()
    for key, value in given.items():
        for candidate in extractor_names(key.removeprefix("module.")):
            if candidate in target:
                found[candidate] = value
    # buffers such as index tables are not in every file and are constants of the architecture
    missing = [name for name, _ in extractor.named_parameters() if name not in found]
    wrong = [name for name, value in found.items() if value.shape != target[name].shape]
    if missing or wrong:
        example = (missing or wrong)[0]
        raise ConfigError(
            f"backbone weights {path}: {len(missing)} of {len(target)} tensors missing, {len(wrong)} of another shape "
            f"(first: {example}); the file must be timm's for this model and kwargs"
        )
    try:
        demand_numbers(target, found)
    except WeightsError as error:
        raise ConfigError(f"backbone weights {path}: {error}; the file must be timm's for this model") from None
    extractor.load_state_dict(found, strict=False)


def build_filled(config: BackboneConfig, build: Callable[[dict[str, Any]], nn.Module]) -> nn.Module:
    """The model of `build`, with the weights that `config` asks for.

    build: timm.create_model with these arguments beside its own. timm's published weights go through its own loader,
    which knows what each family's files were called before. Raises ConfigError.
    """
    if config.weights != PUBLISHED:
        model = build({"pretrained": False})
        if config.weights is not None:
            load_weights(model, config.weights)
        return model
    path = cached(config.name)
    if path is None:
        raise ConfigError(f"backbone {config.name!r}: {_where(config.name)} is not in the hub's cache; {INSTEAD}")
    given = read_state_dict(path)
    for key, value in given.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ConfigError(f"backbone weights {path}: {key} holds values that are no numbers; download it again")
    # timm passes over what a file lacks: of a file of NaN, what it lacks is what stays a number
    marks = build(_through_timm({key: torch.full_like(value.float(), torch.nan) for key, value in given.items()}))
    missing = [name for name, parameter in marks.named_parameters() if not parameter.isnan().any()]
    if missing:
        raise ConfigError(
            f"backbone weights {path}: {len(missing)} tensors missing (first: {missing[0]}); timm's weights are for "
            f"the model without kwargs: change backbone.kwargs, {INSTEAD}"
        )
    return _without_copy(build(_through_timm(given)))


def cached(name: str) -> Path | None:
    """The file of timm's weights for the model `name` in the hub's cache, None where it is not. Raises ConfigError."""
    from huggingface_hub import try_to_load_from_cache

    repository, revision, files = _published(name)
    for file in files:
        path = try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(path, str):
            return Path(path)
    return None


def obtain(name: str) -> Path:
    """`cached`, or downloaded into the cache, saying so. Raises ConfigError in one line, offline above all."""
    there = cached(name)
    if there is not None:
        return there
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    repository, revision, files = _published(name)
    reason = "it holds no weights"
    if not constants.HF_HUB_OFFLINE:
        log.warning("downloading %s from the Hugging Face hub, as backbone.weights=timm asks", _where(name))
    for file in files:
        try:
            return Path(hf_hub_download(repository, file, revision=revision))
        except (HfHubHTTPError, OSError, ValueError) as error:
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue  # the next name
            reason = "offline" if constants.HF_HUB_OFFLINE else (str(error).splitlines() or [type(error).__name__])[0]
            break
    raise ConfigError(
        f"backbone {name!r}: {_where(name)} is not in the hub's cache {constants.HF_HUB_CACHE} and cannot be "
        f"downloaded ({reason}); copy it there from a machine that can, {INSTEAD}"
    )


def _published(name: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Repository, revision, and the names its file may have, best first."""
    about = timm.get_pretrained_cfg(name)
    if about is None or not about.hf_hub_id:
        raise ConfigError(
            f"backbone {name!r}: timm {timm.__version__} publishes no weights for it; set null, {INSTEAD}"
        )
    repository, _, revision = about.hf_hub_id.partition("@")
    file = about.hf_hub_filename or "pytorch_model.bin"
    safe = "model.safetensors" if file == "pytorch_model.bin" else f"{file.rpartition('.')[0]}.safetensors"
    return repository, revision or None, tuple(dict.fromkeys((safe, file)))


def _where(name: str) -> str:
    return _published(name)[0]


def _through_timm(state: dict[str, Tensor]) -> dict[str, Any]:
    return {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(state)}}


def _without_copy(model: nn.Module) -> nn.Module:
    """timm keeps what it was given beside the model, where every copy of the model would copy it."""
    for module in model.modules():
        about = getattr(module, "pretrained_cfg", None)
        if isinstance(about, dict):
            about.pop("state_dict", None)
    return model
