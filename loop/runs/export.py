"""Exporting a run: its best matter, the selected generators and a model card, in a new folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loop.runs.folder import best_round, check_run, is_run
from loop.runs.model_card import card
from loop.runs.verify import damaged_results, sound
from stylematte.atomic import check_new, new_folder
from stylematte.errors import DataError


class Exported(NamedTuple):
    """round: of the run's best matter, None for a matter that is of no run. generators: their domains."""

    out: Path
    matter: Path
    round: int | None
    generators: list[str]


def export(source: Path, out: Path, hub: bool = False) -> Exported:
    """Write the weights of the run `source` (with hub also: a matter folder) and README.md into the new folder `out`.

    hub: the matter under the names of the Hugging Face hub. Raises DataError, WeightsError.
    """
    from stylematte.export import export_hub
    from stylematte.inference.matter import matter_folder
    from stylemattegan.generator_folder import generator_folders

    check_new(out)
    if not hub:
        check_run(source)
    run = source if is_run(source) else None
    matter, found = sound(matter_folder(source)), generator_folders(run) if run else {}
    for generator in found.values():
        sound(generator)
    for line in damaged_results(run) if run else []:  # the card has numbers of all of them
        raise DataError(f"{run}/{line}; `stylematte run {run}` moves it aside and makes it again")
    with new_folder(out) as folder:
        description = export_hub(matter, folder) if hub else _own_matter(matter, folder / "matter")
        for domain, generator in found.items():
            names = [*(file.name for file in generator.glob("*.safetensors")), "generator.json"]
            _copy(generator, folder / "generators" / domain, names)
        (folder / "README.md").write_text(card(folder, description, run, hub))
    return Exported(out, matter, best_round(run) if run else None, list(found))


def export_start_weights(run: Path, out: Path) -> list[str]:
    """Write the selected generators of `run` into the new folder `out`, one folder a domain, for generator.init_from.

    Returns the domains. Raises DataError if there are none, or they are damaged.
    """
    from stylemattegan.generator_folder import generator_folders
    from stylemattegan.networks.weights import save_start_weights

    check_new(out)
    check_run(run)
    found = generator_folders(run)
    if not found:
        raise DataError(f"{run}: has no generator yet; `stylematte run {run}` goes on with it")
    with new_folder(out) as folder:
        for domain, generator in found.items():
            save_start_weights(sound(generator), folder / domain)
    return list(found)


def _own_matter(source: Path, target: Path) -> dict[str, Any]:
    from stylematte.networks.weights import read_description

    _copy(source, target, ["matter.safetensors", "matter.json"])
    return read_description(target)


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    target.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, target / name)
