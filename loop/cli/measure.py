"""stylematte measure GENERATOR --against POOL"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.bars import shown
from loop.cli.features import Features, features_for
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from stylemattegan.networks.generator import Generator

BATCH, NEIGHBOURS = 16, 3
AGAINST, ALONE = ("fid", "kid", "pr"), ("ppl", "eq")
ROWS = {
    "fid": ("FID", "Frechet distance of the features; falls with --count, compare at one count only"),
    "kid": ("KID", "kernel distance, unbiased: 0 on average for equal sets"),
    "precision": ("precision", f"share of pictures near real ones ({NEIGHBOURS} neighbours)"),
    "recall": ("recall", f"share of real ones near pictures ({NEIGHBOURS} neighbours)"),
    "ppl": ("PPL", "path length in w, at its ends, by the same features"),
    "eqt": ("EQ-T", "dB, translation by whole pixels"),
    "eqt_frac": ("EQ-T frac", "dB, translation by any amount"),
    "eqr": ("EQ-R", "dB, rotation by any angle (StyleGAN3-T is not made for it)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("generator", type=Path, help="a generator folder, or a run or an export with one generator")
    parser.add_argument("--against", type=Path, help="real pictures: a data set (folder or ZIP), or a step's folder")
    parser.add_argument("--domain", help="which generator of a run")
    parser.add_argument("--metrics", help=f"of {','.join(AGAINST + ALONE)} (default: all; without --against ppl,eq)")
    parser.add_argument("--count", type=int, default=1000, help="pictures, paths and moved pictures (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default 0)")
    parser.add_argument(
        "--features",
        help="pixels (8 x 8), a run or matter folder (its backbone), or a file with the weights of --network "
        "(default: the run's matter, of a run; else pixels). Values of different features cannot be compared",
    )
    parser.add_argument("--network", help="whose weights the file has: a timm model, or inception (torch-fidelity)")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def main(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    folder = _folder(args.generator, args.domain)
    import torch

    from stylemattegan.networks.weights import load_generator

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    G = load_generator(folder).to(device)
    if G.c_dim:
        raise DataError(f"{folder}: a conditional generator ({G.c_dim} classes), which is not measured yet")
    pool = _pool(args.against, G.img_resolution) if set(wanted) & set(AGAINST) else []
    features = features_for(args.features, args.network, args.generator, device)
    told = _told(G, folder, pool, features, wanted, args)
    about = {
        "generator": str(folder),
        "against": str(args.against) if pool else None,
        "real": len(pool),
        "count": args.count,
        "seed": args.seed,
        "features": features.name,
    }
    if args.json:
        finite = {key: value if math.isfinite(value) else "infinity" for key, value in told.items()}
        print(json.dumps({**about, **finite}, indent=2))
    else:
        _print(about, told)
    return 0


def _told(
    G: Generator,
    folder: Path,
    pool: Sequence[Callable[[], Tensor]],
    features: Features,
    wanted: Sequence[str],
    args: argparse.Namespace,
) -> dict[str, float]:
    from stylemattegan.generator_folder import is_straight
    from stylemattegan.metrics import generator_equivariance, path_length
    from stylemattegan.sample import shown as picture_of

    straight = is_straight(folder)
    told: dict[str, float] = {}
    units: list[float] = []
    if pool:
        real = _blocks(features, _loaded(pool), len(pool), "looking at real pictures")
        made = _blocks(features, _made(G, args.count, args.seed, straight), args.count, "looking at the generator's")
        units = [math.sqrt(block.var(0).sum()) or 1.0 for block in real] if features.scaled else []
        told |= _distances(_joined(made, units), _joined(real, units), wanted, args.seed)
    if "ppl" in wanted:

        def seen(encoded: Tensor) -> Tensor:
            return _joined(features.of(picture_of(encoded.float().cpu(), straight)), units)

        told["ppl"] = path_length(G, seen, args.count, seed=args.seed, watch=_watch("walking paths"))
    if "eq" in wanted:
        told |= generator_equivariance(G, args.count, seed=args.seed, watch=_watch("moving pictures"))
    return told


def _distances(made: Tensor, real: Tensor, wanted: Sequence[str], seed: int) -> dict[str, float]:
    from stylemattegan.metrics import frechet_distance, kernel_distance_of_blocks, precision_recall

    told = {}
    if "fid" in wanted:
        told["fid"] = frechet_distance(made, real)
    if "kid" in wanted:
        told["kid"] = kernel_distance_of_blocks(made, real, seed=seed)
    if "pr" in wanted:
        told["precision"], told["recall"] = precision_recall(made, real, NEIGHBOURS)
    return told


def _blocks(features: Features, pictures: Iterator[Tensor], total: int, doing: str) -> list[Tensor]:
    """Blocks (n, d) in float64, of pictures in batches."""
    import torch

    rows = [features.of(batch) for batch in shown(pictures, doing, -(-total // BATCH))]
    return [torch.cat(block).double() for block in zip(*rows, strict=True)]


def _joined(blocks: Sequence[Tensor], units: Sequence[float]) -> Tensor:
    """(n, d) of all blocks, each in its unit."""
    import torch

    return torch.cat([block / unit for block, unit in zip(blocks, units or [1.0] * len(blocks), strict=True)], 1)


def _loaded(pool: Sequence[Callable[[], Tensor]]) -> Iterator[Tensor]:
    import torch

    from stylemattegan.sample import shown as picture_of

    for start in range(0, len(pool), BATCH):
        batch = torch.stack([read() for read in pool[start : start + BATCH]])
        yield picture_of(2 * batch - 1, straight=True)


def _made(G: Generator, count: int, seed: int, straight: bool) -> Iterator[Tensor]:
    """Pictures at psi 1, brought to the 8 bits that the real ones have."""
    from stylematte.sampling import position_seed
    from stylemattegan.sample import sample

    for start in range(0, count, BATCH):
        seeds = [position_seed(seed, "measure", number) for number in range(start, min(start + BATCH, count))]
        yield (sample(G, seeds, [1.0] * len(seeds), BATCH, straight=straight) * 255).round() / 255


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
    return next(iter(found.values()))


def _wanted(args: argparse.Namespace) -> list[str]:
    known = AGAINST + ALONE
    wanted = args.metrics.split(",") if args.metrics else list(known if args.against else ALONE)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"--metrics {args.metrics}: no metric {name!r}; there are {', '.join(known)}")
        if name in AGAINST and args.against is None:
            raise ConfigError(f"--metrics {name}: is measured against real pictures, give --against DATASET")
    if args.count <= NEIGHBOURS:
        raise ConfigError(f"--count {args.count}: must be at least {NEIGHBOURS + 1}")
    return wanted


def _watch(doing: str) -> Callable[[range], Iterable[int]]:
    return lambda steps: shown(steps, doing, len(steps))


def _print(about: dict[str, Any], told: dict[str, float]) -> None:
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("metric", "value", "what it is")
    for key, value in told.items():
        name, meaning = ROWS[key]
        table.add_row(name, f"{value:.4g}", meaning)
    against = f" against {about['real']} of {about['against']}" if about["against"] else ""
    print(
        f"{about['generator']}: {about['count']} pictures{against}, seed {about['seed']}; features: {about['features']}"
    )
    wide_console().print(table)
