"""Which features `measure` compares pictures by, as its options say: pixels, a matter's backbone, a file's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loop.runfolder import NoSuchArtefact, accepted_matter, is_run

if TYPE_CHECKING:
    import torch

    from stylemattegan.metrics.features import Features

PIXELS, INCEPTION = "pixels", "inception"


class BadFeatures(ValueError):
    exit_code = 2


def features_for(asked: str | None, network: str | None, generator: Path, device: torch.device) -> Features:
    """asked: "pixels", a run or matter folder, or a file with the weights of `network`; None: the run's own matter if
    `generator` is a run, else pixels. Raises BadFeatures, NoSuchArtefact, BackboneError."""
    from stylemattegan.metrics.features import inception, pixels, pooled

    if asked is None and is_run(generator):
        asked = str(generator)
    if asked in (None, PIXELS):
        return pixels()
    path = Path(str(asked)).expanduser()
    if path.is_dir():
        from stylematte.networks.weights import load_matter

        folder = accepted_matter(path)
        return pooled(f"matter {folder}", load_matter(folder).to(device).encode, device)
    if not path.is_file():
        raise NoSuchArtefact(f"--features {asked}: no such file or folder; give {PIXELS}, a run, a matter or weights")
    if network is None:
        raise BadFeatures(f"--features {asked}: whose weights? give --network NAME, timm's or {INCEPTION}")
    if network == INCEPTION:
        try:
            return inception(path, device)
        except ImportError as error:
            raise BadFeatures(f"--network {INCEPTION}: {error}") from None
    from stylematte.networks.backbone import Backbone

    backbone = Backbone(network, weights=str(path)).eval().requires_grad_(False).to(device)
    return pooled(f"{network} {path}", backbone, device)
