"""stylematte sample RUN -o OUT"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loop.runfolder import NoSuchArtefact, generators, newest_run

BATCH = 16


class SampleError(ValueError):
    exit_code = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, nargs="?", help="a run, an export, or a generator folder (default: newest run)"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the PNG files and sheet.png")
    parser.add_argument("--domain", help="which generator (default: all)")
    parser.add_argument("--seeds", default="1-16", help="for example 1-16 or 3,5,8 (default 1-16)")
    parser.add_argument("--psi", type=float, nargs="+", default=[0.7, 1.0], help="truncation: a number, or low high")


def main(args: argparse.Namespace) -> int:
    seeds, interval = _seeds(args.seeds), _interval(args.psi)
    source = args.run or newest_run()
    found = generators(source)
    if args.domain:
        found = {name: folder for name, folder in found.items() if name == args.domain}
    if not found:
        wanted = f"generator for '{args.domain}'" if args.domain else "generator"
        raise NoSuchArtefact(f"{source}: no {wanted}; expected a run after round 1, an export, or a generator folder")
    from loop.stages.pools import write_cutout_sheet
    from stylematte.imagefile import write_rgba
    from stylemattegan.networks.weights import load_generator
    from stylemattegan.sample import psi_for_seed
    from stylemattegan.sample import sample as draw

    for domain, folder in found.items():
        G, out = load_generator(folder), args.out / domain
        out.mkdir(parents=True, exist_ok=True)
        psis = [psi_for_seed(seed, interval) for seed in seeds]
        files = []
        for start in range(0, len(seeds), BATCH):
            part = slice(start, start + BATCH)
            for seed, rgba in zip(seeds[part], draw(G, seeds[part], psis[part], BATCH), strict=True):
                files.append(out / f"{seed:06d}.png")
                write_rgba(files[-1], rgba)
        write_cutout_sheet(out / "sheet.png", files, most=64)
        rows = [{"file": f.name, "seed": s, "psi": p} for f, s, p in zip(files, seeds, psis, strict=True)]
        (out / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        print(f"{domain}: {len(files)} pictures in {out}, all on {out / 'sheet.png'}")
    return 0


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        raise SampleError(f"--seeds {text}: expected for example 1-16 or 3,5,8") from None
    if not seeds:
        raise SampleError(f"--seeds {text}: names no seed; expected for example 1-16 or 3,5,8")
    return seeds


def _interval(values: list[float]) -> tuple[float, float]:
    if len(values) > 2 or not 0 < values[0] <= values[-1]:
        raise SampleError(f"--psi {values}: expected one number or 'low high', above 0 (psi 0 gives one picture)")
    return values[0], values[-1]
