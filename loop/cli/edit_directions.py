"""`stylematte edit-directions -o OUT`: the widest directions of a generator's styles, as strips."""

from __future__ import annotations

import argparse
from pathlib import Path

from loop.cli.latent_options import add_generator, generator_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_generator(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for direction-NN.png and the directions")
    parser.add_argument("--count", type=int, default=6, help="directions (default 6)")
    parser.add_argument("--seeds", default="1-4", help="rows of a strip (default 1-4)")
    parser.add_argument("--reach", type=float, default=2.0, help="standard deviations to either side (default 2)")


def main(args: argparse.Namespace) -> int:
    import torch
    from safetensors.torch import save_file

    from loop.cli.sample import _seeds
    from stylematte.errors import ConfigError
    from stylematte.sheets import on_checkerboard, write_sheet
    from stylemattegan.edit_directions import edit_directions, strip
    from stylemattegan.sample import latents

    if not 0 < args.reach <= 100:
        raise ConfigError(f"--reach {args.reach}: expected standard deviations, above 0 and at most 100")
    generator = generator_of(args)
    G = generator.network
    found = edit_directions(G, args.count)
    with torch.no_grad():
        w = G.mapping(latents(_seeds(args.seeds), G.z_dim), psi=0.7)[:, 0]
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in found._asdict().items()}, args.out / "directions.safetensors"
    )
    for index in range(args.count):
        rows = strip(G, w, found, index, args.reach, straight=generator.straight)
        pictures = [on_checkerboard(each) for each in rows.flatten(0, 1)]
        write_sheet(args.out / f"direction-{index + 1:02d}.png", pictures, rows.shape[1])
        print(f"direction {index + 1}: {100 * found.share[index]:.1f} % of the variance of W")
    print(f"{args.count} strips from -{args.reach:g} to +{args.reach:g} standard deviations in {args.out}")
    return 0
