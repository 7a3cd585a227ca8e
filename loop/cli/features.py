"""By what `measure` looks at pictures: their pixels, a matter's backbone, or a network from a file of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loop.runfolder import NoSuchArtefact, accepted_matter, is_run

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIXELS, INCEPTION = "pixels", "inception"
THUMBNAIL = 8
COARSEST = 32
"""Backbones take sides that are multiples of it."""


class BadFeatures(ValueError):
    exit_code = 2


class Features(NamedTuple):
    """How pictures are compared. `of`: straight RGBA (N, 4, H, W) in [0, 1] -> blocks of features (N, d) on the CPU."""

    name: str
    of: Callable[[Tensor], list[Tensor]]
    scaled: bool = False
    """Each block is to be brought to unit variance, as a whole, on the real pictures: their natural units differ."""


def features_for(asked: str | None, network: str | None, generator: Path, device: torch.device) -> Features:
    """asked: "pixels", a run or matter folder, or a file with the weights of `network`; None: the run's own matter if
    `generator` is a run, else pixels. Raises BadFeatures, NoSuchArtefact, BackboneError."""
    if asked is None and is_run(generator):
        asked = str(generator)
    if asked in (None, PIXELS):
        return Features(PIXELS, lambda rgba: [pixels(rgba)])
    path = Path(str(asked)).expanduser()
    if path.is_dir():
        from stylematte.networks.weights import load_matter

        folder = accepted_matter(path)
        return Features(f"matter {folder}", _pooled(load_matter(folder).to(device).encode, device), True)
    if not path.is_file():
        raise NoSuchArtefact(f"--features {asked}: no such file or folder; give {PIXELS}, a run, a matter or weights")
    if network is None:
        raise BadFeatures(f"--features {asked}: whose weights? give --network NAME, timm's or {INCEPTION}")
    if network == INCEPTION:
        return Features(f"{INCEPTION} {path}", _inception(path, device))
    from stylematte.config import BackboneConfig
    from stylematte.networks.backbone import Backbone

    backbone = Backbone(BackboneConfig(network, str(path))).eval().requires_grad_(False).to(device)
    return Features(f"{network} {path}", _pooled(backbone, device), True)


def pixels(rgba: Tensor) -> Tensor:
    """(N, 4, H, W) -> (N, 256): the picture at 8 x 8, colour times alpha about grey, all in [-1, 1]."""
    from stylematte.imagefile import resize
    from stylematte.rgba import premultiply_about_grey

    return resize(premultiply_about_grey(rgba), (THUMBNAIL, THUMBNAIL)).flatten(1)


def _pooled(encode: Callable[[Tensor], list[Tensor]], device: torch.device) -> Callable[[Tensor], list[Tensor]]:
    """The means of a backbone's maps of the cut-out over grey, and its alpha at 8 x 8."""
    import torch
    import torch.nn.functional as F

    from stylematte.imagefile import resize

    @torch.no_grad()
    def features(rgba: Tensor) -> list[Tensor]:
        side = -(-max(rgba.shape[2:]) // COARSEST) * COARSEST
        maps = encode(resize(_over_grey(rgba.to(device)), (side, side)))
        alpha = F.adaptive_avg_pool2d(rgba[:, 3:], THUMBNAIL).flatten(1)
        return [*(level.mean((2, 3)).cpu() for level in maps), alpha.cpu()]

    return features


def _inception(path: Path, device: torch.device) -> Callable[[Tensor], list[Tensor]]:
    """The 2048 features that published FIDs are of, by torch-fidelity (not installed with us) from the user's file."""
    import torch

    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise BadFeatures(f"--network {INCEPTION} needs torch-fidelity: pip install torch-fidelity") from None
    network = FeatureExtractorInceptionV3(INCEPTION, ["2048"], feature_extractor_weights_path=str(path))
    network = network.eval().to(device)

    @torch.no_grad()
    def features(rgba: Tensor) -> list[Tensor]:
        return [network((_over_grey(rgba) * 255).round().to(device, torch.uint8))[0].cpu()]

    return features


def _over_grey(rgba: Tensor) -> Tensor:
    import torch

    from stylematte.rgba import composite, split_rgba

    colour, alpha = split_rgba(rgba)
    return composite(colour, alpha, torch.full_like(colour, 0.5))
