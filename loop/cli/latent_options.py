"""What the verbs that work in a generator's latent space share: which generator, features and matter are meant."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loop.runs.folder import newest_run
from loop.runs.verify import sound
from stylematte.errors import ConfigError, DataError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from stylemattegan.enhance import Matter
    from stylemattegan.generator_folder import LoadedGenerator
    from stylemattegan.inversion import Perceptual


def add_generator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--generator", type=Path, help="a run, an export, or a generator folder (default: newest run)")
    parser.add_argument("--domain", help="which generator, if there are several")


def add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", help="weights of --network, for perceptual distances (default: random)")
    parser.add_argument("--network", help="a timm model, whose local weights --features are")


def generator_of(args: argparse.Namespace) -> LoadedGenerator:
    """Raises as `rgba_generator` does."""
    return rgba_generator(args.generator or newest_run(), args.domain)


def rgba_generator(path: Path, domain: str | None = None) -> LoadedGenerator:
    """Raises DataError, WeightsError, and ConfigError for one that has no alpha or is conditional."""
    import stylemattegan
    from stylemattegan.generator_folder import load_folder
    from stylemattegan.inversion.code import demand_rgba

    folder = stylemattegan.load(path, domain).folder
    found = load_folder(sound(folder))
    try:
        demand_rgba(found.network)
    except WeightsError as error:
        raise WeightsError(f"{folder}: {error}") from None
    if found.network.c_dim:
        raise ConfigError(f"{folder}: a conditional generator ({found.network.c_dim} classes) is not inverted yet")
    return found


def perceptual_of(args: argparse.Namespace) -> Perceptual:
    from stylemattegan.inversion import of_backbone, random_pyramid

    if args.features is None:
        return random_pyramid()
    if args.network is None or not Path(args.features).is_file():
        raise ConfigError(f"--features {args.features}: expected a file of weights, and --network NAME, whose they are")
    from stylematte.config import BackboneConfig
    from stylematte.networks.backbone import Backbone

    backbone = Backbone(BackboneConfig(args.network, str(args.features))).eval().requires_grad_(False)
    return of_backbone(f"{args.network} {Path(args.features).name}", backbone)


def matter_of(path: Path | None) -> Matter:
    """A run's, an export's or a folder's matter, or the one in an ONNX file."""
    from loop.fitting.enhancement import frozen_matter
    from stylematte.inference.matter import matter_folder
    from stylematte.networks.weights import load_matter
    from stylemattegan.enhance import OnnxMatter

    path = path or newest_run()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        return OnnxMatter(path)
    return frozen_matter(load_matter(sound(matter_folder(path))))


def cutter(path: Path | None) -> Callable[[Tensor], Tensor] | None:
    """What cuts a photo out with that matter; None: there is none."""
    import stylematte
    from stylematte.inference.matter import matter_folder

    if path is None:
        return None
    matter = stylematte.load(sound(matter_folder(path)))
    return lambda image: matter.cutout(image)
