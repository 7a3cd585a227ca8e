"""stylematte export RUN|MATTER -o DIR"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from loop.configfile import load_config
from loop.report import round_table
from loop.runfolder import NoSuchArtefact, accepted_matter, accepted_round, generators, is_run


class BadOption(ValueError):
    exit_code = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder; with --format onnx or pt2 also a matter folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder for the weights and the model card")
    parser.add_argument(
        "--format",
        choices=("safetensors", "onnx", "pt2"),
        default="safetensors",
        help="onnx: matter.onnx for any height and width. pt2: matter.pt2 for --size only (default: safetensors)",
    )
    parser.add_argument("--half", action="store_true", help="onnx: float16 weights, alpha within 0.02 (else 0.001)")
    parser.add_argument("--size", type=int, help="pt2: height and width of its pictures (default: what it trained at)")


def main(args: argparse.Namespace) -> int:
    if args.format != "safetensors":
        return _one_file(args)
    if args.half or args.size:
        raise BadOption("--half and --size are for --format onnx and pt2")
    if not is_run(args.run):
        raise NoSuchArtefact(f"{args.run}: not a run folder (no config.yaml and rounds/ in it)")
    matter = accepted_matter(args.run)
    if args.out.exists() and any(args.out.iterdir()):
        raise NoSuchArtefact(f"{args.out}: not empty; name a new folder, nothing is overwritten")
    partial = args.out.with_name(f".{args.out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _copy(matter, partial / "matter", ["matter.safetensors", "matter.json"])
    for domain, folder in generators(args.run).items():
        _copy(
            folder, partial / "generators" / domain, [*(f.name for f in folder.glob("*.safetensors")), "generator.json"]
        )
    (partial / "README.md").write_text(_card(args.run))
    if args.out.exists():
        args.out.rmdir()
    partial.rename(args.out)
    print(f"matter of round {accepted_round(args.run)} and {len(generators(args.run))} generators in {args.out}")
    return 0


def _one_file(args: argparse.Namespace) -> int:
    """matter.onnx or matter.pt2 in a new folder, checked against PyTorch."""
    if args.half and args.format == "pt2":
        raise BadOption("--half is for --format onnx")
    if args.size and (args.format == "onnx" or args.size < 32):
        raise BadOption(f"--size {args.size}: for --format pt2, at least 32; an ONNX file takes any size")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise NoSuchArtefact(f"{args.out}: not an empty folder; name a new one, nothing is overwritten")
    folder = accepted_matter(args.run)
    from loop.commands.photos import matter_at
    from stylematte import export

    if args.format == "onnx":
        export.check_packages()
    network, trained_at = matter_at(folder)
    meta = json.loads((folder / "matter.json").read_text())["meta"]
    licence = meta.get("licence") or "of the matter's owner: see the pictures and weights it was trained from"
    file, new = args.out / f"matter.{args.format}", not args.out.exists()
    try:
        if args.format == "onnx":
            worst = export.export_onnx(network, file, folder.name, licence, args.half)
        else:
            side = args.size or trained_at
            worst = export.export_pt2(network, file, folder.name, (side, side), licence)
    except BaseException:
        if new and args.out.is_dir():
            args.out.rmdir()
        raise
    print(f"{file} of {folder}: alpha within {worst:.1g} of PyTorch's")
    return 0


def _copy(source: Path, target: Path, names: list[str]) -> None:
    target.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, target / name)


def _card(run: Path) -> str:
    config = load_config(run / "config.yaml", check=False)
    headers, rows = round_table(run)
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |" for row in rows]
    prepared = json.loads((run / "rounds/00/prepare/stage.json").read_text())["metrics"]
    weights = config.matter.backbone.weights
    start = f"started from `{weights}`: its licence applies to these weights" if weights else "random start"
    source = (
        "drawn by code" if config.data.root is None else f"the user's folder `{config.data.root}`: its licences apply"
    )
    return "\n".join(
        [
            "# StyleMatte co-training: matter and generators",
            "",
            f"Matter of round {accepted_round(run)}: timm `{config.matter.backbone.name}` ({start}).",
            "FPN to a quarter of the resolution, guided filter to all of it.",
            f"Input: RGB in [0, 1]; output: alpha in [0, 1]; trained at {config.data.size} x {config.data.size}.",
            "Generators: StyleGAN3-T, latent -> RGBA, colour premultiplied about grey in [-1, 1].",
            f"Pictures: {source}.",
            "",
            "## Held-out numbers",
            "",
            *lines,
            "",
            "SAD in thousands, sums over the whole picture at the training size; Grad and Conn as in the P3M protocol.",
            "",
            "## Pictures used",
            "",
            *_counts(prepared["counts"]),
            "",
            "## Use",
            "",
            "```",
            "stylematte matte PHOTO -o OUT --matter THIS_FOLDER",
            "stylematte sample THIS_FOLDER -o OUT",
            "```",
            "",
        ]
    )


def _counts(counts: dict[str, Any]) -> list[str]:
    return [
        f"- {domain}, {kind}: " + ", ".join(f"{n} {split}" for split, n in splits.items())
        for domain, kinds in counts.items()
        for kind, splits in kinds.items()
    ]
