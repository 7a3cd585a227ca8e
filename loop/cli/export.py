"""stylematte export RUN|MATTER -o DIR"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from loop.cli.inference_options import BadOption
from loop.cli.model_card import card, licence_of
from loop.cli.new_folder import demand_new, new_folder
from loop.runfolder import NoSuchArtefact, accepted_matter, accepted_round, generators, is_run

FILES = ("onnx", "pt2")
"""Formats of one file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder; with --format also a matter folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder for the weights and the model card")
    parser.add_argument(
        "--format",
        choices=("safetensors", "hub", *FILES),
        default="safetensors",
        help="hub: the layout of the Hugging Face hub. onnx: matter.onnx for any height and width. pt2: matter.pt2 for "
        "multiples of 32, or for one size if the backbone attends (default: safetensors)",
    )
    parser.add_argument("--half", action="store_true", help="onnx: float16 weights, alpha within 0.02 (else 0.001)")
    parser.add_argument("--size", type=int, help="pt2: for pictures of this height and width only")


def main(args: argparse.Namespace) -> int:
    demand_new(args.out)
    if args.format in FILES:
        return _one_file(args)
    if args.half or args.size:
        raise BadOption("--half and --size are for --format onnx and pt2")
    return _folder(args)


def _folder(args: argparse.Namespace) -> int:
    """The matter, the generators of a run, and the card."""
    hub, run = args.format == "hub", args.run if is_run(args.run) else None
    if run is None and not hub:
        raise NoSuchArtefact(f"{args.run}: not a run folder (no config.yaml and rounds/ in it)")
    matter, found = accepted_matter(args.run), generators(run) if run else {}
    with new_folder(args.out) as out:
        description = _hub_matter(matter, out) if hub else _own_matter(matter, out / "matter")
        for domain, folder in found.items():
            names = [*(f.name for f in folder.glob("*.safetensors")), "generator.json"]
            _copy(folder, out / "generators" / domain, names)
        (out / "README.md").write_text(card(out, description, run, hub))
    named = f"matter of round {accepted_round(run)} and {len(found)} generators" if run else f"matter of {matter}"
    print(f"{named} in {args.out}")
    return 0


def _own_matter(source: Path, target: Path) -> dict[str, Any]:
    from stylematte.networks.weights import read_description

    _copy(source, target, ["matter.safetensors", "matter.json"])
    return read_description(target)


def _hub_matter(source: Path, target: Path) -> dict[str, Any]:
    """The matter under the names of the Hugging Face hub, if it can be loaded. Its description."""
    from loop.cli.photos import matter_at
    from stylematte.networks.weights import HUB_DESCRIPTION, HUB_TENSORS, matter_files, read_description

    matter_at(source)
    description = read_description(source)
    description |= {"meta": description.get("meta") or {}, "model_type": "stylematte"}
    target.mkdir(parents=True)
    shutil.copyfile(matter_files(source)[0], target / HUB_TENSORS)
    (target / HUB_DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    return description


def _one_file(args: argparse.Namespace) -> int:
    """matter.onnx or matter.pt2 in a new folder, checked against PyTorch."""
    if args.half and args.format == "pt2":
        raise BadOption("--half is for --format onnx")
    if args.size and (args.format == "onnx" or args.size < 32):
        raise BadOption(f"--size {args.size}: for --format pt2, at least 32; an ONNX file takes any size")
    folder = accepted_matter(args.run)
    from loop.cli.photos import matter_at
    from stylematte import export
    from stylematte.networks.weights import read_description

    if args.format == "onnx":
        export.check_packages()
    network, trained_at = matter_at(folder)
    licence = licence_of(read_description(folder).get("meta") or {})
    name, size = f"matter.{args.format}", None
    with new_folder(args.out) as out:
        if args.format == "onnx":
            worst = export.export_onnx(network, out / name, folder.name, licence, args.half)
        else:
            size = (args.size, args.size) if args.size else export.fixed_size(network, trained_at)
            worst = export.export_pt2(network, out / name, folder.name, size, licence)
    told = f"alpha within {worst:.1g} of PyTorch's; H, W: {export.sizes_told(args.format, size)}"
    print(f"{args.out / name} of {folder}: {told}")
    return 0


def _copy(source: Path, target: Path, names: list[str]) -> None:
    target.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, target / name)
