"""stylematte export RUN -o DIR"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from loop.configfile import load_config
from loop.report import round_table
from loop.runfolder import NoSuchArtefact, accepted_matter, accepted_round, generators, is_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("-o", "--out", type=Path, required=True, help="new folder for the weights and the model card")


def main(args: argparse.Namespace) -> int:
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
