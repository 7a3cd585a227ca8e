"""`stylematte invert PICTURE... --generator G -o OUT`: where cut-outs or photos are in a generator."""

from __future__ import annotations

import argparse
from pathlib import Path

from loop.cli.bars import bar
from loop.cli.latent_options import add_features, add_generator, cutter, generator_of, perceptual_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("picture", nargs="+", help="cut-outs (RGBA); photos with --matter; folders, 'quoted globs'")
    add_generator(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for codes, inverted.jsonl and sheet.png")
    parser.add_argument("--matter", type=Path, help="cuts out photos: a run, an export, or a matter folder")
    parser.add_argument("--steps", type=int, default=300, help="in W and W+ (default 300)")
    parser.add_argument("--offset-steps", type=int, default=60, help="of the feature offset (default 60, 0: none)")
    parser.add_argument("--samples", type=int, default=32, help="among which the start is chosen (default 32)")
    parser.add_argument("--batch", type=int, default=8, help="pictures inverted at once (default 8)")
    add_features(parser)


def main(args: argparse.Namespace) -> int:
    from stylematte.errors import ConfigError
    from stylematte.fields import impossible
    from stylematte.inference.photos import photos_of
    from stylemattegan.inversion import InvertConfig
    from stylemattegan.invert_files import invert_files

    config = InvertConfig(steps=args.steps, offset_steps=args.offset_steps, samples=args.samples)
    if problems := list(impossible(config)):
        raise ConfigError("\n".join(f"--{line.replace('_', '-')}" for line in problems))
    if args.batch < 1:
        raise ConfigError(f"--batch {args.batch}: must be at least 1")
    pictures, generator = [photo.path for photo in photos_of(args.picture)], generator_of(args)
    perceptual, cut = perceptual_of(args), cutter(args.matter)
    done = invert_files(generator, pictures, args.out, perceptual, config, cut, args.batch, bar("inverting"))
    print(f"features: {perceptual.name}")
    for row in done.rows:
        where = "" if row["in_world"] else f"; outside the generator's world (limit {row['limit']:.3f})"
        figures = f"PSNR {row['psnr']:.1f} dB, distance {row['distance']:.3f}, alpha SAD {row['alpha_sad']:.3f}"
        print(f"{row['picture']}: {figures}{where}")
    for _, reason in done.left_out:
        print(f"left out {reason}")
    there = f" ({done.there} were there)" if done.there else ""
    print(f"{len(done.rows)} pictures in {args.out}{there}, side by side on {args.out / 'sheet.png'}")
    return 0
