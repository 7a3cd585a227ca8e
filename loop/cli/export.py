"""`stylematte export RUN|MATTER -o DIR`: the final matter and generators as safetensors, a hub folder, ONNX or .pt2."""

from __future__ import annotations

import argparse
from pathlib import Path

from stylematte.errors import ConfigError

FILES = ("onnx", "pt2")
"""Formats of one file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder; with --format also a matter folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder for the weights and the model card")
    parser.add_argument(
        "--format",
        choices=("safetensors", "hub", *FILES),
        default="safetensors",
        help="hub: the layout of the Hugging Face hub. onnx, pt2: one file, for any number of pictures of any height "
        "and width (default: safetensors)",
    )
    parser.add_argument("--half", action="store_true", help="onnx: float16 weights, alpha within 0.02 (else 0.001)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="fp32",
        help="what layers compute in: bf16 of a .pt2 (alpha within 0.1), fp16 of ONNX (0.02); in and out float32",
    )
    parser.add_argument("--trimap", action="store_true", help="onnx, pt2: a trimap as second input, of variant detail")
    parser.add_argument(
        "--int8", nargs="+", metavar="PHOTO", help="onnx: 8 bits, calibrated on these photos, folders or quoted globs"
    )
    parser.add_argument("--size", type=int, help="pt2: for pictures of this height and width only")
    parser.add_argument(
        "--start-weights",
        action="store_true",
        help="the generators alone, one folder a domain, small: what generator.init_from goes on from",
    )


def _file_options(args: argparse.Namespace) -> bool:
    """Whether one was given that only files of FILES have."""
    return bool(args.half or args.size or args.trimap or args.int8 or args.precision != "fp32")


def _start_weights(args: argparse.Namespace) -> int:
    from loop.runs.export import export_start_weights

    if args.format != "safetensors" or _file_options(args):
        raise ConfigError("--start-weights goes with no other option")
    found = export_start_weights(args.run, args.out)
    folders = ", ".join(f"{domain}: {args.out}/{domain}" for domain in found)
    print(f"to go on from them: generator.init_from={{{folders}}}")
    return 0


def main(args: argparse.Namespace) -> int:
    if args.start_weights:
        return _start_weights(args)
    if args.format in FILES:
        from loop.runs.model_card import licence_at
        from stylematte.export import export_file
        from stylematte.inference.photos import photos_of

        photos = [photo.path for photo in photos_of(args.int8)] if args.int8 else []
        file = export_file(
            args.run,
            args.out,
            args.format,
            licence_at(args.run),
            args.half,
            args.size,
            args.trimap,
            photos,
            args.precision,
        )
        text = f"alpha within {file.difference:.1g} of PyTorch's; H, W: {file.sizes}"
        print(f"{file.file} of {file.folder}: {text}")
        if file.loss:
            mean, worst, count = file.loss
            print(f"8 bits: alpha off by {mean:.4f} in the mean of {count} other photos, by {worst:.4f} in the worst")
        return 0
    if _file_options(args):
        raise ConfigError("--half, --int8, --precision, --size and --trimap are for --format onnx and pt2")
    from loop.runs.export import export

    made = export(args.run, args.out, hub=args.format == "hub")
    named = f"matter of {made.matter}"
    if made.round is not None:
        named = f"matter of round {made.round} and {len(made.generators)} generators"
    print(f"{named} in {made.out}")
    return 0
