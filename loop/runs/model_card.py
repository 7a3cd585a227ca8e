"""README.md of exported weights: what they are, whose they are, what they scored, which bytes they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loop.config.load import load_config
from loop.report.gain import gain_sentences
from loop.report.read import read_run
from loop.report.table import round_table
from loop.runs.folder import best_round

FRONT_MATTER = """---
license: other
license_name: weights-keep-their-own-licence
library_name: stylematte
pipeline_tag: image-segmentation
tags: [image-matting, alpha-matte, background-removal, safetensors]
---
"""
"""What the Hugging Face hub reads of a model card (YAML)."""
NETWORKS = {
    "fpn": "FPN to a quarter of the resolution, guided filter to all of it.",
    "released": "The authors' network: deformable-attention pixel decoder, FPN, guided filter.",
    "detail": "Top-down fusion with a learned detail stream up to full resolution; a trimap may be given.",
}
OF_THE_OWNER = "the owner's; see the pictures and weights the matter was trained from"


def licence_of(meta: dict[str, Any]) -> str:
    """What matter.json says of the weights' licence."""
    return str(meta.get("licence") or OF_THE_OWNER)


def licence_at(source: Path) -> str:
    """Of the matter of a run, an export or a matter folder."""
    from stylematte.inference.matter import matter_folder
    from stylematte.networks.weights import read_description

    return licence_of(read_description(matter_folder(source)).get("meta") or {})


def card(folder: Path, description: dict[str, Any], run: Path | None, hub: bool) -> str:
    """The card of the exported `folder`. description: its matter's; run: where it is from, if from a run."""
    network, meta = description["network"], description["meta"]
    lines = [
        "# StyleMatte co-training: matter and generators" if run else "# StyleMatte: a matter, photo -> alpha",
        "",
        *_origin(network, meta, run),
        NETWORKS.get(network["variant"], ""),
        f"Input: straight sRGB in [0, 1]; output: alpha in [0, 1]; trained at {meta.get('size', 'an unknown size')}.",
        "",
        "## Licence",
        "",
        f"The code is Apache-2.0. The weights keep their own licence: {licence_of(meta)}.",
        "",
        *(_scores(run) if run else ()),
        "## Use",
        "",
        "```",
        "stylematte matte PHOTO -o OUT --matter THIS_FOLDER",
        *(["stylematte sample THIS_FOLDER -o OUT"] if run else ()),
        "python -c 'import stylematte; stylematte.load(\"THIS_FOLDER\")'",
        "```",
        "",
        "## SHA-256",
        "",
        *_digests(folder),
        "",
    ]
    return (FRONT_MATTER if hub else "") + "\n".join(lines)


def _origin(network: dict[str, Any], meta: dict[str, Any], run: Path | None) -> Iterator[str]:
    backbone = network["backbone"]["name"]
    if run is None:
        yield f"timm `{backbone}`." + (f" From `{meta['source']}`." if meta.get("source") else "")
        return
    config = load_config(run / "config.yaml", check=False)
    weights = config.matter.init_from or config.matter.network.backbone.weights
    root = ", ".join(r.root for r in config.data.all_roots())
    start = f"started from `{weights}`: its licence applies to these weights" if weights else "random start"
    yield f"Matter of round {best_round(run)}: timm `{backbone}` ({start})."
    yield "Generators: StyleGAN3-T, latent -> RGBA, colour premultiplied about grey in [-1, 1]."
    yield "Pictures: " + ("drawn by code." if not root else f"the user's folder `{root}`: its licences apply.")


def _scores(run: Path) -> Iterator[str]:
    headers, rows = round_table(run)
    prepared = json.loads((run / "rounds/00/prepare/stage.json").read_text())["metrics"]
    yield from ("## Held-out numbers", "")
    yield "| " + " | ".join(headers) + " |"
    yield "|" + " --- |" * len(headers)
    for row in rows:
        yield "| " + " | ".join("" if cell is None else str(cell) for cell in row) + " |"
    yield from (
        "",
        "SAD in thousands, sums over the whole picture at the training size; Grad and Conn as P3M has them.",
    )
    yield from ("", *(f"{'- ' if number else ''}{line}" for number, line in enumerate(gain_sentences(read_run(run)))))
    yield from ("", "## Pictures used", "")
    for domain, kinds in prepared["counts"].items():
        for kind, splits in kinds.items():
            yield f"- {domain}, {kind}: " + ", ".join(f"{n} {split}" for split, n in splits.items())
    yield ""


def _digests(folder: Path) -> Iterator[str]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            yield f"- `{hashlib.file_digest(file, 'sha256').hexdigest()}` {path.relative_to(folder).as_posix()}"
