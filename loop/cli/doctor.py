"""stylematte doctor"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loop.config.load import load_config

Check = tuple[str, str, str]  # name, state (ok, note, problem), text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="also check the data folder and weights it names")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument(
        "--ops", action="store_true", help="build the generator's C++ and CUDA operations and measure them"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def main(args: argparse.Namespace) -> int:
    checks = [_python(), *_torch(), _compiler(), _disk(), _memory(), _wandb(), _albumentations()]
    if args.config is not None:
        config = load_config(args.config, args.overrides)
        checks += [
            _data(config.data.root),
            *_weights(config.matter.network.backbone.name, config.matter.network.backbone.weights),
        ]
        if config.generator.composite_discriminator.kind.value == "projected":
            checks += _second(asdict(config.generator.composite_discriminator.backbone))
    if args.ops:
        checks += _ops()
    broken = any(state == "problem" for _, state, _ in checks)
    if args.json:
        print(json.dumps([{"check": n, "state": s, "text": t} for n, s, t in checks], indent=2))
        return 1 if broken else 0
    from rich.table import Table

    from loop.cli.console import wide_console

    table = Table("check", "", "found")
    colour = {"ok": "green", "note": "yellow", "problem": "red"}
    for name, state, text in checks:
        table.add_row(name, f"[{colour[state]}]{state}[/]", text)
    wide_console().print(table)
    return 1 if broken else 0


def _python() -> Check:
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    text = sys.version.split()[0] + ("" if good else ": expected 3.11, 3.12 or 3.13")
    return "python", "ok" if good else "problem", text


def _torch() -> list[Check]:
    import torch

    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    state = "ok" if version >= (2, 8) else "problem"
    checks = [("torch", state, torch.__version__ + ("" if state == "ok" else ": expected 2.8 or newer"))]
    if torch.cuda.is_available():
        names = Counter(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        checks.append(("GPU", "ok", ", ".join(f"{count} x {name}" for name, count in names.items())))
    else:
        checks.append(("GPU", "note", f"none; fits run on {torch.get_num_threads()} CPU threads"))
    try:
        import timm

        checks.append(("timm", "ok", timm.__version__))
    except (ImportError, RuntimeError) as error:
        checks.append(("timm", "problem", f"cannot be imported ({error}): install a torchvision made for this torch"))
    return checks


def _compiler() -> Check:
    found = [name for name in ("c++", "ninja", "nvcc") if shutil.which(name)]
    if "c++" not in found:
        return (
            "compiler",
            "note",
            "no C++ compiler: the generator's operations run in plain torch, several times slower",
        )
    version = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
    return "compiler", "ok", f"{version[0] if version else 'c++'}; also found: {', '.join(found[1:]) or 'nothing else'}"


def _ops() -> list[Check]:
    """Build what the cache lacks (also what failed before), compare with the reference, tell how much faster it is."""
    from stylemattegan.ops import cpu
    from stylemattegan.ops.build import CannotBuild, library_file

    try:
        file = library_file(again=True)
    except CannotBuild as error:
        return [("ops", "note", f"plain torch: {error}"), *_cuda_ops()]
    if not cpu.available():
        text = f"{file} cannot be loaded: {cpu.library()}; remove it and try again"
        return [("ops", "problem", text), *_cuda_ops()]
    return [("ops", "ok", f"C++: {file}"), *_speeds("cpu"), *_cuda_ops()]


def _cuda_ops() -> list[Check]:
    """On a machine with a GPU as above; without one, why the kernels are not used."""
    import torch

    from stylemattegan.ops import cuda
    from stylemattegan.ops.build import CannotBuild, library_file

    if not torch.cuda.is_available():
        return [("ops on the GPU", "note", "no GPU: the CUDA kernels are not needed")]
    try:
        library_file(cuda.for_these_gpus, again=True)
    except CannotBuild as error:
        return [("ops on the GPU", "note", f"plain torch: {error}")]
    found = cuda.engine()
    if isinstance(found, str):
        return [("ops on the GPU", "note", f"plain torch: {found}")]
    return [("ops on the GPU", "ok", f"CUDA: {found.file}"), *_speeds("cuda")]


def _speeds(impl: str) -> list[Check]:
    from stylemattegan.ops.measure import compare

    checks: list[Check] = []
    for found in compare(("reference", "torch", impl), device=impl):
        text = f"{found.ratio('reference'):.1f}x the reference's speed, {found.ratio('torch'):.1f}x plain torch's"
        text += f"; differs by {found.difference:.0e} of the largest value"
        checks.append((f"ops {found.op} ({impl})", "ok" if found.agrees else "problem", text))
    return checks


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 1e9
    return "disk", "ok" if free > 5 else "note", f"{free:.1f} GB free here"


def _memory() -> Check:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError, AttributeError):
        return "memory", "note", "unknown"
    return "memory", "ok" if free > 4 else "note", f"{free:.1f} GB free, {os.cpu_count()} cores"


def _wandb() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("wandb")
    except PackageNotFoundError:
        return "W&B", "note", "not installed: set tracking.wandb=disabled; the jsonl files hold everything"
    netrc = Path.home() / ".netrc"
    key = bool(os.environ.get("WANDB_API_KEY")) or (netrc.is_file() and "wandb" in netrc.read_text(errors="replace"))
    how = "an account is set up" if key else "no account: offline works, online needs `wandb login`"
    return "W&B", "ok", f"{found}; {how}"


def _albumentations() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("albumentationsx")
    except PackageNotFoundError:
        return "albumentations", "ok", f"{version('albumentations')} (MIT)"
    return "albumentations", "problem", "AlbumentationsX (AGPL-3.0) shadows it: pip uninstall albumentationsx"


def _data(root: str | None) -> Check:
    if root is None:
        return "data", "ok", "drawn by code"
    import csv

    manifest = Path(root).expanduser() / "manifest.csv"
    if not manifest.is_file():
        return "data", "problem", f"{manifest}: no such file; see README, 'Your own pictures'"
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "file" not in rows[0]:
        return "data", "problem", f"{manifest}: no column 'file'; see README, 'Your own pictures'"
    missing = [row["file"] for row in rows if not (manifest.parent / (row["file"] or "")).is_file()]
    kinds = Counter(f"{row.get('subject')}/{row.get('kind')}" for row in rows)
    licences: dict[str, Any] = Counter(row.get("licence") or "unstated" for row in rows)
    text = "; ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    text += f"; {len(licences)} different licence texts, read them before you ship anything made from these"
    if missing:
        return "data", "problem", f"{len(missing)} files are missing, for example {missing[0]}; {text}"
    return "data", "ok", text


def _second(backbone: dict[str, Any]) -> list[Check]:
    """Builds the second discriminator's backbone: a run would find out only after its first matter."""
    from loop.fitting.composite_discriminator import frozen_backbone
    from stylematte.networks.backbone import BackboneError

    try:
        frozen_backbone(backbone)
    except BackboneError as error:
        return [("composite_discriminator", "problem", f"generator.composite_discriminator: {error}")]
    if backbone["weights"] is None:
        return [("composite_discriminator", "note", f"{backbone['name']} is frozen at random weights")]
    return [
        ("composite_discriminator", state, text) for _, state, text in _weights(backbone["name"], backbone["weights"])
    ]


def _weights(name: str, file: str | None) -> list[Check]:
    if file is None:
        return [("weights", "ok", f"{name} starts from random weights: nobody's licence applies")]
    import timm

    licence = "unknown"
    if timm.is_model(name):
        known = timm.get_pretrained_cfg(name)
        licence = (known and known.to_dict().get("license")) or "unknown"
    state = "problem" if "nc" in licence.lower().split("-") else "note"
    return [("weights", state, f"{file}: timm gives the licence of {name}'s weights as '{licence}'; yours may differ")]
