"""stylematte import-generator FILE.pkl -o DIR"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from loop.cli.new_folder import demand_new, new_folder
from stylematte.errors import ConfigError

LICENCE = (
    "Imported weights keep the licence of whoever published them; this software's licence covers neither them nor what "
    "is trained from them. NVIDIA's are for research and evaluation, not for commercial use "
    "(https://github.com/NVlabs/stylegan3, LICENSE.txt): keeping to it is your duty."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, help="network-snapshot.pkl of the official StyleGAN3 code, or StyleMatteGAN's"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder, for sample and generator.init_from")
    parser.add_argument(
        "--rgba",
        action="store_true",
        help="give RGB networks an alpha: the same pictures, opaque, for the loop",
    )
    parser.add_argument(
        "--fp16", action="store_true", help="on a GPU, keep the file's float16 layers; else all is float32"
    )
    parser.add_argument("--json", action="store_true", help="say what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    out, file = args.out.expanduser().absolute(), args.file.expanduser()
    demand_new(out)
    from stylemattegan.importing.official import read_snapshot
    from stylemattegan.importing.surgery import discriminator_to_rgba, generator_to_rgba
    from stylemattegan.networks.weights import save_generator

    G, D, G_ema, found = read_snapshot(file, fp16=args.fp16)
    if args.rgba and found["channels"] == 4:
        raise ConfigError(f"{file}: has an alpha already; leave out --rgba")
    if args.rgba:
        G, G_ema, D = generator_to_rgba(G), generator_to_rgba(G_ema), discriminator_to_rgba(D)
    with open(file, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    meta = {"source": file.name, "sha256": digest, "rgba_added": args.rgba, "official": found, "licence": LICENCE}
    with new_folder(out) as folder:
        save_generator(folder, G, D, G_ema, meta)
    _tell(args, G, D, {"generator": str(args.out), **meta})
    return 0


def _tell(args: argparse.Namespace, G: Any, D: Any, told: dict[str, Any]) -> None:
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in (("G", G), ("D", D))}
    if args.json:
        print(json.dumps({**told, "parameters": counts, "config": {"G": G.config, "D": D.config}}, indent=2))
        return
    size, classes = G.img_resolution, f", {G.c_dim} classes" if G.c_dim else ""
    kind = "R" if G.config["use_radial_filters"] else "T"
    channels = "RGB with an alpha added" if args.rgba else {3: "RGB", 4: "RGBA"}[G.img_channels]
    print(f"{args.file} -> {args.out}: StyleGAN3-{kind}, {size} x {size}, {channels}{classes}")
    print(f"G has {counts['G']:,} parameters, D {counts['D']:,}")
    print(LICENCE)
    print(f"stylematte sample {args.out} -o OUT")
    if G.img_channels == 3:
        print("The loop needs an alpha: --rgba adds one.")
    elif not G.c_dim:
        print(f"stylematte run CONFIG data.size={size} generator.init_from.DOMAIN={args.out}")
