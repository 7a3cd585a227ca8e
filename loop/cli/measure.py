"""The verb `measure`: how good a generator is, by itself and against real pictures."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.bars import shown
from loop.cli.features import features_for
from loop.runs.verify import sound
from stylematte.errors import ConfigError, DataError
from stylemattegan.config import AGAINST_REAL, ALONE, Metric

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 6
"""Pictures: coverage looks at five neighbours of each."""
NAMES = ",".join(metric.value for metric in Metric)
MOST = 1_000_000
ROWS = {
    "frechet": ("Frechet", "distance of the features; falls with --count, compare at one count only"),
    "kid": ("kernel", "kernel distance, unbiased: 0 on average for equal sets"),
    "precision": ("precision", "share of pictures near real ones (3 neighbours)"),
    "recall": ("recall", "share of real ones near pictures (3 neighbours)"),
    "density": ("density", "pictures per neighbourhood of a real one (5 neighbours); 1 for equal sets"),
    "coverage": ("coverage", "share of real ones with a picture among their 5 neighbours"),
    "frechet_composite": ("composites", "Frechet distance of cut-outs on grey"),
    "frechet_rgb": ("colour", "Frechet distance of the colours where alpha is not 0"),
    "frechet_alpha": ("alpha", "Frechet distance of alphas as grey pictures"),
    "band_area": ("area", "of subjects, Wasserstein distance in standard deviations of the real ones, as all below"),
    "band_soft": ("soft share", "of the subject that is neither full nor empty"),
    "band_width": ("width", "of the transition"),
    "band_strand": ("strands", "their length"),
    "band_holes": ("holes", "their share"),
    "band": ("bands", "mean of the five"),
    "ppl": ("PPL", "path length in w, at its ends, by the same features"),
    "eqt": ("EQ-T", "dB, translation by whole pixels"),
    "eqt_frac": ("EQ-T frac", "dB, translation by any amount"),
    "eqr": ("EQ-R", "dB, rotation by any angle (StyleGAN3-T is not made for it)"),
}
FID = {"frechet": "FID", "kid": "KID"}
"""How distances in Inception features, and in no others, are called."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generator", type=Path, help="a generator folder, or a run or an export with one generator")
    parser.add_argument("--against", type=Path, help="real pictures: a data set (folder or ZIP), or a step's folder")
    parser.add_argument("--domain", help="which generator of a run")
    parser.add_argument("--metrics", help=f"of {NAMES} (default: all; without --against ppl,eq)")
    parser.add_argument("--count", type=int, default=1000, help="pictures, paths and moved pictures (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default 0)")
    parser.add_argument(
        "--features",
        help="pixels (8 x 8), a run or matter folder (its backbone), or a file with the weights of --network "
        "(default: the run's matter, of a run; else pixels). Values of different features cannot be compared",
    )
    parser.add_argument("--network", help="whose weights the file has: a timm model, or inception (torch-fidelity)")
    parser.add_argument(
        "--halves",
        type=int,
        default=0,
        help="give frechet and kid their standard errors, of so many random halves of both sets (default: none; 50 do)",
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=0,
        help="give cutout's distances their standard errors, of so many bootstrap sets (default: none; 50 do)",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")


def main(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    folder = _folder(args.generator, args.domain)
    import torch

    from stylemattegan.generator_folder import is_straight
    from stylemattegan.measure import measure
    from stylemattegan.networks.weights import load_generator

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    G = load_generator(folder).to(device)
    if G.c_dim:
        raise DataError(f"{folder}: a conditional generator ({G.c_dim} classes), which is not measured yet")
    pool = _pool(args.against, G.img_resolution) if set(wanted) & set(AGAINST_REAL) else []
    features = features_for(args.features, args.network, args.generator, device)
    values = measure(
        G,
        features,
        wanted,
        real=pool,
        count=args.count,
        seed=args.seed,
        straight=is_straight(folder),
        halves=args.halves,
        resamples=args.resamples,
        track=shown,
    )
    about = {
        "generator": str(folder),
        "against": str(args.against) if pool else None,
        "real": len(pool),
        "count": args.count,
        "seed": args.seed,
        "features": features.name,
    }
    if args.json:
        finite = {key: value if math.isfinite(value) else "infinity" for key, value in values.items()}
        print(json.dumps({**about, **finite}, indent=2))
    else:
        _print(about, values, FID if features.is_inception else {})
    return 0


def _pool(path: Path, resolution: int) -> list[Callable[[], Tensor]]:
    """What reads each picture (C, R, R) in [0, 1] of a data set, or of those a step kept."""
    from loop.pools import kept_files
    from stylematte.imagefile import read_rgba
    from stylemattegan.dataset import LabelledPictures

    if (path / "index.jsonl").is_file():
        return [partial(read_rgba, file) for file in kept_files(path)]
    pictures = LabelledPictures(path, resolution=resolution)
    return [partial(pictures.picture, index) for index in range(len(pictures))]


def _folder(source: Path, domain: str | None) -> Path:
    from stylemattegan.generator_folder import generator_folders

    found = generator_folders(source)
    if domain is not None:
        found = {name: folder for name, folder in found.items() if name == domain}
    if len(found) != 1:
        has = f"generators for {', '.join(found)}: name one with --domain" if found else "no generator there"
        raise DataError(f"{source}: {has}; expected a generator folder, or a run or an export and its domain")
    return sound(next(iter(found.values())))


def _wanted(args: argparse.Namespace) -> list[Metric]:
    asked, against, count = args.metrics, args.against is not None, args.count
    names = asked.split(",") if asked is not None else [m.value for m in (Metric if against else ALONE)]
    for name in names:
        if name not in Metric.__members__:
            raise ConfigError(f"--metrics {asked}: no metric {name!r}; there are {NAMES.replace(',', ', ')}")
        if Metric(name) in AGAINST_REAL and not against:
            raise ConfigError(f"--metrics {name}: is measured against real pictures, give --against DATASET")
    for name in ("halves", "resamples"):
        if getattr(args, name) not in (0, *range(2, 10_000)):
            raise ConfigError(f"--{name} {getattr(args, name)}: expected 2 to 9999, or 0 for none")
    if not LEAST <= count <= MOST:
        raise ConfigError(f"--count {count}: expected {LEAST} to {MOST}")
    return [Metric(name) for name in names]


def _print(about: dict[str, Any], values: dict[str, float], published: dict[str, str]) -> None:
    """published: the names that values have if the features are those of published ones."""
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("metric", "value", "what it is")
    for key, (name, meaning) in ROWS.items():
        if key in values:
            error = f" ± {values[f'{key}_error']:.2g}" if f"{key}_error" in values else ""
            table.add_row(published.get(key, name), f"{values[key]:.4g}{error}", meaning)
    against = f" against {about['real']} of {about['against']}" if about["against"] else ""
    print(
        f"{about['generator']}: {about['count']} pictures{against}, seed {about['seed']}; features: {about['features']}"
    )
    wide_console().print(table)
