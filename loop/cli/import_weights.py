"""stylematte import-weights FILE.pth -o DIR"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from loop.cli.new_folder import demand_new, new_folder

SIZE = 1024
"""Longest side for `stylematte matte` where none is asked for: what trackers built on these weights use."""
LICENCE = (
    "Imported weights keep the licence of whoever published them; this software's licence does not cover them. "
    "StyleMatte's authors state theirs at https://github.com/chroneus/stylematte (licence files there): read it first."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="stylematte_pure.pth or stylematte_synth.pth, as downloaded")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder, for --matter of other verbs")
    parser.add_argument("--json", action="store_true", help="say what was written, machine-readable")


def main(args: argparse.Namespace) -> int:
    out = args.out.expanduser()
    demand_new(out)
    from stylematte.networks.released.checkpoint import read_released
    from stylematte.networks.weights import save_matter

    file = args.file.expanduser()
    network = read_released(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    meta = {"size": SIZE, "source": file.name, "sha256": digest, "licence": LICENCE}
    with new_folder(out) as folder:
        save_matter(folder, network, meta)
    _tell(args, out, digest, sum(p.numel() for p in network.parameters()))
    return 0


def _tell(args: argparse.Namespace, out: Path, digest: str, parameters: int) -> None:
    if args.json:
        told = {"matter": str(out), "source": str(args.file), "sha256": digest, "parameters": parameters}
        print(json.dumps({**told, "licence": LICENCE}, indent=2))
        return
    print(f"{args.file} -> {out}: StyleMatte as released, {parameters:,} parameters")
    print(LICENCE)
    print(f"stylematte matte PHOTO -o OUT --matter {out}")
