"""Which features `measure` compares pictures by, as its options say: pixels, a matter's backbone, a file's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loop.runs.folder import is_run
from loop.runs.verify import sound
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    import torch

    from stylemattegan.metrics.features import Features

PIXELS, INCEPTION = "pixels", "inception"


def features_for(asked: str | None, network: str | None, generator: Path, device: torch.device) -> Features:
    """asked: "pixels", a run or matter folder, or a file with the weights of `network`; None: the run's own matter if
    `generator` is a run, else pixels. Raises ConfigError, DataError, WeightsError."""
    from stylemattegan.metrics.features import inception, pixels, pooled

    if asked is None and is_run(generator):
        asked = str(generator)
    if asked in (None, PIXELS):
        return pixels()
    path = Path(str(asked)).expanduser()
    if path.is_dir():
        from stylematte.inference.matter import matter_folder
        from stylematte.networks.weights import load_matter

        folder = sound(matter_folder(path))
        return pooled(f"matter {folder}", load_matter(folder).to(device).encode, device)
    if not path.is_file():
        raise DataError(f"--features {asked}: no such file or folder; give {PIXELS}, a run, a matter or weights")
    if network is None:
        raise ConfigError(f"--features {asked}: whose weights? give --network NAME, timm's or {INCEPTION}")
    if network == INCEPTION:
        try:
            return inception(path, device)
        except ImportError as error:
            raise ConfigError(f"--network {INCEPTION}: {error}") from None
    from stylematte.config import BackboneConfig
    from stylematte.networks.backbone import Backbone

    backbone = Backbone(BackboneConfig(network, str(path))).eval().requires_grad_(False).to(device)
    return pooled(f"{network} {path}", backbone, device)
