"""`stylematte sample RUN -o OUT`: RGBA pictures from a generator: by seeds, moved, turned, as a walk."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from loop.cli.bars import bar
from loop.runs.folder import newest_run
from loop.runs.verify import sound
from stylematte.errors import ConfigError, DataError

MOST = 100_000
"""Seeds at a time."""


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
    from stylemattegan.generator_folder import generator_folders, load_folder
    from stylemattegan.sample_files import Look, check_walk, walk_frames, write_samples, write_walk

    if not math.isfinite(args.rotate):
        raise ConfigError(f"--rotate {args.rotate}: expected degrees, for example 30")
    seeds, grid = _seeds(args.seeds), _grid(args.grid or ("1x1" if args.walk else "8x8"))
    look = Look(_interval(args.psi), args.cutoff, args.label, _translation(args.translate), args.rotate, args.latents)
    if args.walk:
        check_walk(Path(args.walk), seeds, args.frames, grid)
    source = args.run or newest_run()
    found = {name: folder for name, folder in generator_folders(source).items() if args.domain in (None, name)}
    if not found:
        wanted = f"generator for '{args.domain}'" if args.domain else "generator"
        raise DataError(f"{source}: no {wanted}; expected a run after round 1, an export, or a generator folder")
    for domain, folder in found.items():
        generator, out = load_folder(sound(folder)), args.out / domain
        if args.walk:
            track = bar("walking", walk_frames(seeds, args.frames, grid))
            frames = write_walk(generator, seeds, out / args.walk, look, args.frames, grid, track)
            print(f"{domain}: {frames} frames at psi {look.psi[1]} in {out / args.walk}")
            continue
        made = write_samples(generator, seeds, out, look, grid, bar("sampling"))
        there = f" ({made.there} were there)" if made.there else ""
        upon = "all" if made.on_sheet == len(seeds) else f"the first {made.on_sheet}"
        print(f"{domain}: {len(seeds)} pictures in {out}{there}, {upon} on {made.sheet}")
    return 0


def _grid(text: str) -> tuple[int, int]:
    """(columns, rows)"""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= columns * rows <= 4096:
        raise ConfigError(f"--grid {text}: expected columns x rows, for example 8x8")
    return columns, rows


def _translation(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        expected = "expected x,y in picture widths, for example 0.1,-0.2"
        raise ConfigError(f"--translate {text}: {expected}") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ConfigError(f"--translate {text}: expected finite numbers, for example 0.1,-0.2")
    return x, y


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            named = range(int(first), int(last) + 1) if dash else range(int(first), int(first) + 1)
            if max(named.stop - named.start, 0) + len(seeds) > MOST:
                raise ConfigError(f"--seeds {text}: at most {MOST} at a time")
            seeds += named
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(f"--seeds {text}: expected for example 1-16 or 3,5,8") from None
    if not seeds:
        raise ConfigError(f"--seeds {text}: names no seed; expected for example 1-16 or 3,5,8")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: names a seed twice; each makes one picture")
    return seeds


def _interval(values: list[float]) -> tuple[float, float]:
    if len(values) > 2 or not 0 < values[0] <= values[-1] < math.inf:
        raise ConfigError(f"--psi {values}: expected one number or 'low high', above 0 (psi 0 gives one picture)")
    return values[0], values[-1]
