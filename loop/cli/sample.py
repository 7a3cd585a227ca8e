"""stylematte sample RUN -o OUT"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.cli.photos import shown
from loop.runfolder import generators, newest_run
from stylematte.errors import ConfigError, DataError

if TYPE_CHECKING:
    from stylemattegan.networks.generator import Generator

BATCH, FPS = 16, 30
TEXT = "stylematte"
"""Under this name every PNG tells, as JSON, what made it."""

Recipe = dict[str, Any]
"""seed, psi and all else that a picture is a function of."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, nargs="?", help="a run, an export, or a generator folder (default: newest run)"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the PNG files and sheet.png")
    parser.add_argument("--domain", help="which generator (default: all)")
    parser.add_argument("--seeds", default="1-16", help="for example 1-16 or 0-99,200 (default 1-16)")
    parser.add_argument("--psi", type=float, nargs="+", default=[0.7, 1.0], help="truncation: a number, or low high")
    parser.add_argument("--cutoff", type=int, help="truncate the first so many layers only (default: all)")
    parser.add_argument("--class", dest="label", type=int, help="class of a conditional generator, from 0")
    parser.add_argument("--translate", default="0,0", help="x,y in picture widths, to the right and down (default 0,0)")
    parser.add_argument("--rotate", type=float, default=0.0, help="degrees, counter-clockwise (default 0)")
    parser.add_argument(
        "--latents",
        choices=("own", "official"),
        help="whose seeds these are: official ones give an imported snapshot's known pictures (default: official for "
        "imported generators, else own)",
    )
    parser.add_argument("--grid", help="columns x rows: of sheet.png (default 8x8), of a walk (default 1x1)")
    parser.add_argument(
        "--walk", help="write this animation (NAME.webp or .png, with alpha) through the seeds, no pictures"
    )
    parser.add_argument("--frames", type=int, default=30, help="of a walk, from one seed to the next (default 30)")


def main(args: argparse.Namespace) -> int:
    seeds, interval, grid, translate = _checked(args)
    source = args.run or newest_run()
    found = generators(source)
    if args.domain:
        found = {name: folder for name, folder in found.items() if name == args.domain}
    if not found:
        wanted = f"generator for '{args.domain}'" if args.domain else "generator"
        raise DataError(f"{source}: no {wanted}; expected a run after round 1, an export, or a generator folder")
    from stylemattegan.networks.weights import load_generator
    from stylemattegan.sample import psi_for_seed, transform_matrix, transformed

    for domain, folder in found.items():
        G, common = load_generator(folder), _common(args, folder, translate)
        _check_network(G, args)
        with transformed(G, transform_matrix(translate, args.rotate)):
            if args.walk:
                print(f"{domain}: {_walk(G, seeds, interval, grid, common, args.out / domain / args.walk, args)}")
                continue
            recipes = [{**common, "seed": seed, "psi": psi_for_seed(seed, interval)} for seed in seeds]
            print(f"{domain}: {_pictures(G, recipes, args.out / domain, grid)}")
    return 0


def _pictures(G: Generator, recipes: Sequence[Recipe], out: Path, grid: tuple[int, int]) -> str:
    """One PNG per recipe, those that are there left alone, a sheet of the first and samples.jsonl; what was done."""
    from loop.pools import write_cutout_sheet
    from stylematte.imagefile import write_rgba
    from stylemattegan.sample import sample

    files = {recipe["seed"]: out / f"{recipe['seed']:06d}.png" for recipe in recipes}
    wanted = [recipe for recipe in recipes if not _is_there(files[recipe["seed"]], recipe)]
    for part in _parts(wanted):
        seeds, psis = [r["seed"] for r in part], [r["psi"] for r in part]
        for recipe, rgba in zip(part, sample(G, seeds, psis, BATCH, **_options(G, part[0])), strict=True):
            write_rgba(files[recipe["seed"]], rgba, text={TEXT: json.dumps(recipe, sort_keys=True)})
    columns, rows = grid
    write_cutout_sheet(out / "sheet.png", list(files.values()), columns, most=columns * rows)
    lines = [json.dumps({"file": files[r["seed"]].name, **r}, sort_keys=True) + "\n" for r in recipes]
    (out / "samples.jsonl").write_text("".join(lines))
    kept = f" ({len(recipes) - len(wanted)} were there)" if len(wanted) < len(recipes) else ""
    upon = "all" if len(recipes) <= columns * rows else f"the first {columns * rows}"
    return f"{len(recipes)} pictures in {out}{kept}, {upon} on {out / 'sheet.png'}"


def _parts(recipes: Sequence[Recipe]) -> Iterable[Sequence[Recipe]]:
    parts = [recipes[start : start + BATCH] for start in range(0, len(recipes), BATCH)]
    return shown(parts, "sampling", len(parts))


def _is_there(file: Path, recipe: Recipe) -> bool:
    """Whether this very picture was written and can be read to its end."""
    from stylematte.errors import BadPicture
    from stylematte.imagefile import read_text

    try:
        return json.loads(read_text(file).get(TEXT, "{}")) == recipe
    except (BadPicture, ValueError):
        return False


def _walk(
    G: Generator,
    seeds: Sequence[int],
    interval: tuple[float, float],
    grid: tuple[int, int],
    common: Recipe,
    file: Path,
    args: argparse.Namespace,
) -> str:
    from stylematte.imagefile import write_animation
    from stylemattegan.sample_walk import walk

    (columns, rows), psi = grid, interval[1]
    frames = walk(G, seeds, psi, args.frames, columns=columns, rows=rows, **_options(G, common))
    total = len(seeds) // (columns * rows) * args.frames
    write_animation(file, shown(frames, "walking", total), FPS)
    return f"{total} frames at psi {psi} in {file}"


def _options(G: Generator, recipe: Recipe) -> dict[str, Any]:
    """What `sample` and `walk` take, of a recipe."""
    from stylemattegan.sample import latents, official_latents

    label = recipe["class"]
    return {
        "cutoff": recipe["cutoff"],
        "label": None if label is None else [float(place == label) for place in range(G.c_dim)],
        "draw": official_latents if recipe["latents"] == "official" else latents,
        "straight": recipe["straight"],
    }


def _common(args: argparse.Namespace, folder: Path, translate: tuple[float, float]) -> Recipe:
    """What all pictures of this call have in common."""
    return {
        "generator": hashlib.sha256((folder / "G_ema.safetensors").read_bytes()).hexdigest(),
        "latents": args.latents or ("official" if "official" in _meta(folder) else "own"),
        "straight": is_straight(folder),
        "cutoff": args.cutoff,
        "class": args.label,
        "translate": list(translate),
        "rotate": args.rotate,
    }


def is_straight(folder: Path) -> bool:
    """Whether its pictures are colour and alpha each by itself: an imported one's, unless alpha was added here."""
    meta = _meta(folder)
    return "official" in meta and not meta.get("rgba_added")


def _meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "generator.json").read_text()).get("meta", {})


def _check_network(G: Generator, args: argparse.Namespace) -> None:
    if G.c_dim and args.label is None:
        raise ConfigError(f"the generator is conditional: give --class 0 to {G.c_dim - 1}")
    if args.label is not None and not 0 <= args.label < G.c_dim:
        has = f"classes 0 to {G.c_dim - 1}" if G.c_dim else "no classes"
        raise ConfigError(f"--class {args.label}: the generator has {has}")
    if args.cutoff is not None and not 0 <= args.cutoff <= G.num_ws:
        raise ConfigError(f"--cutoff {args.cutoff}: the generator has {G.num_ws} layers, give 0 to {G.num_ws}")


def _checked(
    args: argparse.Namespace,
) -> tuple[list[int], tuple[float, float], tuple[int, int], tuple[float, float]]:
    """Seeds, psi interval, grid, translation. Raises ConfigError."""
    seeds = _seeds(args.seeds)
    if args.walk and Path(args.walk).suffix.lower() not in (".webp", ".png"):
        raise ConfigError(f"--walk {args.walk}: expected a name that ends in .webp or .png")
    grid = re.fullmatch(r"(\d+)x(\d+)", args.grid or ("1x1" if args.walk else "8x8"))
    columns, rows = (int(grid[1]), int(grid[2])) if grid else (0, 0)
    if not 1 <= columns * rows <= 4096:
        raise ConfigError(f"--grid {args.grid}: expected columns x rows, for example 8x8")
    if args.walk and (len(seeds) % (columns * rows) or len(seeds) < 2 * columns * rows):
        raise ConfigError(f"--walk through {len(seeds)} seeds: give 2 or more for each of {columns * rows} cells")
    if args.frames < 1:
        raise ConfigError(f"--frames {args.frames}: give at least 1")
    try:
        x, y = (float(part) for part in args.translate.split(","))
    except ValueError:
        expected = "expected x,y in picture widths, for example 0.1,-0.2"
        raise ConfigError(f"--translate {args.translate}: {expected}") from None
    return seeds, _interval(args.psi), (columns, rows), (x, y)


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        raise ConfigError(f"--seeds {text}: expected for example 1-16 or 3,5,8") from None
    if not seeds:
        raise ConfigError(f"--seeds {text}: names no seed; expected for example 1-16 or 3,5,8")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: names a seed twice; each makes one picture")
    return seeds


def _interval(values: list[float]) -> tuple[float, float]:
    if len(values) > 2 or not 0 < values[0] <= values[-1]:
        raise ConfigError(f"--psi {values}: expected one number or 'low high', above 0 (psi 0 gives one picture)")
    return values[0], values[-1]
