"""What a machine has for this: Python, torch, compiler, GPU, disk, memory, W&B, data, licences of weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from loop.config.schema import Config
from stylematte.config import BackboneConfig
from stylematte.errors import UserError

State = Literal["ok", "note", "problem"]


class Check(NamedTuple):
    """One line: what was looked at, how it is, what was found."""

    name: str
    state: State
    text: str


def diagnose(config: Config | None = None, ops: bool = False) -> list[Check]:
    """What this machine has. config: also the data folder and weights it names. ops: also build the generator's C++
    and CUDA operations, compare them with the reference and measure them."""
    checks = [_python(), *_torch(), _compiler(), _disk(), _memory(), _wandb(), _albumentations()]
    if config is not None:
        checks += [
            *_data(config),
            *_weights(config.matter.network.backbone.name, config.matter.network.backbone.weights),
        ]
        if config.generator.composite_discriminator.kind.value == "projected":
            checks += _composite_discriminator(config.generator.composite_discriminator.backbone)
    return checks + (_ops() if ops else [])


def _python() -> Check:
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    text = sys.version.split()[0] + ("" if good else ": expected 3.11, 3.12 or 3.13")
    return Check("python", "ok" if good else "problem", text)


def _torch() -> list[Check]:
    import torch

    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    state: State = "ok" if version >= (2, 8) else "problem"
    checks = [Check("torch", state, torch.__version__ + ("" if state == "ok" else ": expected 2.8 or newer"))]
    if torch.cuda.is_available():
        names = Counter(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        checks.append(Check("GPU", "ok", ", ".join(f"{count} x {name}" for name, count in names.items())))
    else:
        checks.append(Check("GPU", "note", f"none; fits run on {torch.get_num_threads()} CPU threads"))
    try:
        import timm

        checks.append(Check("timm", "ok", timm.__version__))
    except (ImportError, RuntimeError) as error:
        checks.append(Check("timm", "problem", f"cannot be imported ({error}): install the torchvision of this torch"))
    return checks


def _compiler() -> Check:
    found = [name for name in ("c++", "ninja", "nvcc") if shutil.which(name)]
    if "c++" not in found:
        return Check(
            "compiler", "note", "no C++ compiler: the generator's operations run in plain torch, several times slower"
        )
    version = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False).stdout.splitlines()
    return Check(
        "compiler", "ok", f"{version[0] if version else 'c++'}; also found: {', '.join(found[1:]) or 'nothing else'}"
    )


def _ops() -> list[Check]:
    """Build what the cache lacks (also what failed before), compare with the reference, measure the speed."""
    from stylemattegan.ops import cpu
    from stylemattegan.ops.build import CannotBuild, library_file

    try:
        file = library_file(again=True)
    except CannotBuild as error:
        return [Check("ops", "note", f"plain torch: {error}"), *_cuda_ops()]
    if not cpu.available():
        text = f"{file} cannot be loaded: {cpu.library()}; remove it and try again"
        return [Check("ops", "problem", text), *_cuda_ops()]
    return [Check("ops", "ok", f"C++: {file}"), *_speeds("cpu"), *_cuda_ops()]


def _cuda_ops() -> list[Check]:
    """On a machine with a GPU as above; without one, why the kernels are not used."""
    import torch

    from stylemattegan.ops import cuda
    from stylemattegan.ops.build import CannotBuild, library_file

    if not torch.cuda.is_available():
        return [Check("ops on the GPU", "note", "no GPU: the CUDA kernels are not needed")]
    try:
        library_file(cuda.for_these_gpus, again=True)
    except CannotBuild as error:
        return [Check("ops on the GPU", "note", f"plain torch: {error}")]
    found = cuda.engine()
    if isinstance(found, str):
        return [Check("ops on the GPU", "note", f"plain torch: {found}")]
    return [Check("ops on the GPU", "ok", f"CUDA: {found.file}"), *_speeds("cuda")]


def gpu_check(say: Callable[[str], None]) -> bool:
    """Whether the generator's CUDA operations are right on this GPU; a line for each check goes to `say` as it ends.

    Raises UserError where there is no GPU, or no kernels for it.
    """
    import torch

    from stylemattegan.gpu_check import check_clipped, check_networks, check_ops
    from stylemattegan.ops import cuda

    if not torch.cuda.is_available():
        raise UserError("no CUDA GPU is visible to torch: there is nothing to check")
    found = cuda.engine()
    if isinstance(found, str):
        raise UserError(f"no kernels for this GPU: {found}")
    say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {found.file}")
    total, failed = 0, list[str]()
    for verdict in chain(check_ops("cuda", "cuda"), check_clipped("cuda", "cuda"), check_networks("cuda")):
        total, failed = total + 1, failed + [verdict.name] * (not verdict.passed)
        say(verdict.line())
    for check in _speeds("cuda"):
        total, failed = total + 1, failed + [check.name] * (check.state == "problem")
        say(f"{check.name}: {check.text}")
    say(f"failed: {len(failed)} of {total} checks: {'; '.join(failed)}" if failed else f"pass: {total} checks")
    return not failed


def _speeds(impl: str) -> list[Check]:
    from stylemattegan.ops.measure import compare

    checks: list[Check] = []
    for found in compare(("reference", "torch", impl), device=impl):
        text = f"{found.ratio('reference'):.1f}x the reference's speed, {found.ratio('torch'):.1f}x plain torch's"
        text += f"; differs by {found.difference:.0e} of the largest value"
        checks.append(Check(f"ops {found.op} ({impl})", "ok" if found.agrees else "problem", text))
    return checks


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 1e9
    return Check("disk", "ok" if free > 5 else "note", f"{free:.1f} GB free here")


def _memory() -> Check:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (ValueError, OSError, AttributeError):
        return Check("memory", "note", "unknown")
    return Check("memory", "ok" if free > 4 else "note", f"{free:.1f} GB free, {os.cpu_count()} cores")


def _wandb() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("wandb")
    except PackageNotFoundError:
        return Check("W&B", "note", "not installed: set tracking.wandb=disabled; the jsonl files hold everything")
    netrc = Path.home() / ".netrc"
    key = bool(os.environ.get("WANDB_API_KEY")) or (netrc.is_file() and "wandb" in netrc.read_text(errors="replace"))
    how = "an account is set up" if key else "no account: offline works, online needs `wandb login`"
    return Check("W&B", "ok", f"{found}; {how}")


def _albumentations() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("albumentationsx")
    except PackageNotFoundError:
        return Check("albumentations", "ok", f"{version('albumentations')} (MIT)")
    return Check("albumentations", "problem", "AlbumentationsX (AGPL-3.0) shadows it: pip uninstall albumentationsx")


def _data(config: Config) -> list[Check]:
    """What `run` will read, and why it could not; what the manifests say of licences and which files are missing."""
    from loop.config.found import data_roots, found

    roots = data_roots(config.data)
    if not roots:
        return [Check("data", "ok", "drawn by code")]
    seen = found(config)
    checks = [Check("data", "ok", line) for line in seen.lines()]
    checks += [Check("data", "problem", line) for line in seen.problems]
    return checks + [check for root in roots for check in _manifest(root.path)]


def _manifest(root: Path) -> list[Check]:
    import csv

    manifest = root / "manifest.csv"
    if not manifest.is_file():
        return []
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    missing = [row["file"] for row in rows if not (root / (row.get("file") or "")).is_file()]
    licences: dict[str, Any] = Counter(row.get("licence") or "unstated" for row in rows)
    text = f"{len(licences)} different licence texts, read them before you ship anything made from these"
    checks = [Check("licences", "ok", text)]
    if missing:
        checks.append(Check("data", "problem", f"{len(missing)} files are missing, for example {missing[0]}"))
    return checks


def _composite_discriminator(backbone: BackboneConfig) -> list[Check]:
    """Builds the composite discriminator's backbone: a run would find out only after its first matter."""
    from loop.fitting.composite_discriminator import frozen_backbone
    from stylematte.errors import ConfigError

    try:
        frozen_backbone(backbone)
    except ConfigError as error:
        return [Check("composite_discriminator", "problem", f"generator.composite_discriminator: {error}")]
    if backbone.weights is None:
        return [Check("composite_discriminator", "note", f"{backbone.name} is frozen at random weights")]
    return [
        Check("composite_discriminator", state, text) for _, state, text in _weights(backbone.name, backbone.weights)
    ]


def _weights(name: str, file: str | None) -> list[Check]:
    if file is None:
        return [Check("weights", "ok", f"{name} starts from random weights: nobody's licence applies")]
    import timm

    licence = "unknown"
    if timm.is_model(name):
        known = timm.get_pretrained_cfg(name)
        licence = (known and known.to_dict().get("license")) or "unknown"
    state: State = "problem" if "nc" in licence.lower().split("-") else "note"
    return [
        Check("weights", state, f"{file}: timm gives the licence of {name}'s weights as '{licence}'; yours may differ")
    ]
