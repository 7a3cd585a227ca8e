"""The authors' checkpoint file -> a matter folder (safetensors and JSON)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from stylematte.atomic import check_new, new_folder
from stylematte.networks.released.checkpoint import read_released
from stylematte.networks.weights import save_matter

SIZE = 1024
"""Longest side for `stylematte matte` where none is asked for: what trackers built on these weights use."""
LICENCE = (
    "Imported weights keep the licence of whoever published them; this software's licence does not cover them. "
    "StyleMatte's authors state theirs at https://github.com/chroneus/stylematte (licence files there): read it first."
)


class ImportedMatter(NamedTuple):
    matter: Path
    source: Path
    sha256: str
    parameters: int
    licence: str


def import_released(file: Path, out: Path) -> ImportedMatter:
    """Read stylematte_pure.pth or stylematte_synth.pth and write the new folder `out`. Nothing in the file is run.

    Raises DataError if something is at `out`, WeightsError if the file is not such a checkpoint.
    """
    check_new(out)
    network = read_released(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with new_folder(out) as folder:
        save_matter(folder, network, {"size": SIZE, "source": file.name, "sha256": digest, "licence": LICENCE})
    return ImportedMatter(out, file, digest, sum(p.numel() for p in network.parameters()), LICENCE)
