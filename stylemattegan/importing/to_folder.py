"""An official StyleGAN3 snapshot (.pkl) -> a generator folder (safetensors and JSON)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from stylematte.atomic import check_new, new_folder
from stylematte.errors import ConfigError
from stylemattegan.importing.official import read_snapshot
from stylemattegan.importing.surgery import discriminator_to_rgba, generator_to_rgba
from stylemattegan.networks.weights import save_generator

LICENCE = (
    "Imported weights keep the licence of whoever published them; this software's licence covers neither them nor what "
    "is trained from them. NVIDIA's are for research and evaluation, not for commercial use "
    "(https://github.com/NVlabs/stylegan3, LICENSE.txt): keeping to it is your duty."
)


class ImportedGenerator(NamedTuple):
    """meta: as generator.json has it. parameters and config: of G and D."""

    generator: Path
    meta: dict[str, Any]
    parameters: dict[str, int]
    config: dict[str, dict[str, Any]]


def import_snapshot(file: Path, out: Path, rgba: bool = False, fp16: bool = False) -> ImportedGenerator:
    """Read a snapshot of the official StyleGAN3 code, or StyleMatteGAN's, and write the new folder `out`.

    rgba: give RGB networks an alpha: the same pictures, opaque. fp16: on a GPU, keep the file's float16 layers.
    Nothing in the file is run. Raises DataError, WeightsError, and ConfigError if it has an alpha already.
    """
    check_new(out)
    G, D, G_ema, found = read_snapshot(file, fp16=fp16)
    if rgba and found["channels"] == 4:
        raise ConfigError(f"{file}: has an alpha already; leave out --rgba")
    if rgba:
        G, G_ema, D = generator_to_rgba(G), generator_to_rgba(G_ema), discriminator_to_rgba(D)
    with open(file, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    meta = {"source": file.name, "sha256": digest, "rgba_added": rgba, "official": found, "licence": LICENCE}
    with new_folder(out) as folder:
        save_generator(folder, G, D, G_ema, meta)
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in (("G", G), ("D", D))}
    return ImportedGenerator(out, meta, counts, {"G": G.config, "D": D.config})
