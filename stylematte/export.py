"""Exporting a matter: one ONNX or .pt2 file that is checked against PyTorch, or a folder in the hub's layout.

Both take any number of pictures of one size, any height and width of at least LEAST; padding is inside the graph.
ONNX is traced, not `torch.export`ed: a trace takes seconds and follows the shapes as well. .pt2: `export_program`; for
one fixed size where the backbone asks for sizes in a way that torch.export cannot follow.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stylematte.atomic import new_folder
from stylematte.errors import ConfigError, UserError
from stylematte.export_half import compute_in_half
from stylematte.export_program import EXAMPLE, LEAST, MOST, AnySize, to_program, to_program_of_size
from stylematte.inference.matter import load
from stylematte.inference.predict import takes_trimap
from stylematte.networks.weights import HUB_DESCRIPTION, HUB_TENSORS, matter_files, read_description
from stylematte.quantize import Loss, quantize

OPSET = 17
CHECKED, CHECKED_BATCHES = ((96, 160), (101, 131)), (1, 3)
TOLERANCE, HALF_TOLERANCE, BF16_TOLERANCE = 1e-3, 2e-2, 1e-1
"""Largest difference of alpha from PyTorch's that is accepted. Half precision: fp16 has 11 bits, bfloat16 8; the guided
filter magnifies their rounding."""
PRECISIONS = ("fp32", "bf16", "fp16")
log = logging.getLogger("stylematte")
NEEDS = ("onnx", "onnxscript", "onnxruntime")
INPUT = "RGB, straight sRGB, float32 in [0, 1], NCHW"
TRIMAP = "trimap, float32 in {0, 1/2, 1}, (N, 1, H, W), 1/2 where nothing is known"


def check_packages() -> None:
    """Raise ConfigError with the command that installs what ONNX needs."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"--format onnx needs {', '.join(missing)}: pip install 'stylematte[export]'")


def sizes_of(kind: str, size: tuple[int, int] | None) -> str:
    """Which H and W a file of format `kind` takes; size: its only (height, width), None if it takes more."""
    if size is not None:
        return f"{size[0]} x {size[1]} only"
    least = f">= {LEAST}" if kind == "onnx" else f"from {LEAST} to {MOST}"
    return f"any H, W {least}; padding is inside"


def metadata(
    network: nn.Module, name: str, licence: str, precision: str, sizes: str, trimap: bool = False, batch: str = "1"
) -> dict[str, str]:
    """What the file says of itself; all strings. precision: of weights. sizes: of `sizes_of`."""
    import stylematte

    return {
        "name": name,
        "variant": network.config.variant,
        "backbone": network.config.backbone.name,
        "licence": licence,
        "input": f"{INPUT}, N = {batch}" + (f"; {TRIMAP}" if trimap else ""),
        "output": "alpha in [0, 1], float32, (N, 1, H, W)",
        "size": sizes,
        "weights": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[precision],
        "opset": str(OPSET),
        "stylematte": stylematte.__version__,
    }


class ExportedFile(NamedTuple):
    """file, from the matter in `folder`; difference: the largest of alpha from PyTorch's, before it was brought to 8
    bits; sizes: H, W it takes. loss: of the 8 bits, on photos."""

    file: Path
    folder: Path
    difference: float
    sizes: str
    loss: Loss | None = None


def export_file(
    matter: Path,
    out: Path,
    kind: str,
    licence: str = "",
    half: bool = False,
    size: int | None = None,
    trimap: bool = False,
    int8: Sequence[Path] = (),
    precision: str = "fp32",
) -> ExportedFile:
    """Write matter.onnx or matter.pt2 (kind) of a run, an export or a matter folder into the new folder `out`.

    half: onnx, float16 weights. size: pt2, for one picture of this height and width only. trimap: a trimap as second
    input, for a network that takes one. int8: onnx, photos that 8-bit ranges are measured on (`quantize`). precision:
    what layers compute in, fp32, bf16 (pt2) or fp16 (onnx).
    Raises ConfigError, DataError, WeightsError, and UserError if alpha differs too much.
    """
    if int8 and (kind != "onnx" or half or trimap):
        raise ConfigError("--int8 is for --format onnx, without --half and --trimap")
    if half and kind != "onnx":
        raise ConfigError("--half is for --format onnx")
    if size and (kind != "pt2" or size < LEAST):
        raise ConfigError(f"--size {size}: for --format pt2, at least {LEAST}; an ONNX file takes any size")
    if trimap and size:
        raise ConfigError("--trimap and --size do not go together")
    if precision != "fp32" and (precision, kind) not in (("bf16", "pt2"), ("fp16", "onnx")):
        raise ConfigError(f"--precision {precision}: bf16 is for --format pt2, fp16 for --format onnx")
    if precision != "fp32" and (half or int8):
        raise ConfigError("--precision goes without --half and --int8")
    if kind == "onnx":
        check_packages()
    loaded = load(matter)
    if trimap and not takes_trimap(loaded.network):
        raise ConfigError(f"--trimap: the network of {matter} takes none; variant detail does")
    name, fixed, loss = f"matter.{kind}", None, None
    with new_folder(out) as folder:
        if kind == "onnx":
            worst = export_onnx(loaded.network, folder / name, loaded.folder.name, licence, half, trimap, precision)
            if int8:
                full = (folder / name).rename(folder / "float32.onnx")
                loss = quantize(full, folder / name, int8, loaded.trained_at, _onnx_runner)
                full.unlink()
        else:
            fixed = (size, size) if size else None
            write = partial(export_pt2, loaded.network, folder / name, loaded.folder.name, licence=licence)
            try:
                worst = write(fixed, trimap=trimap, precision=precision)
            except UserError:
                raise
            except Exception as error:  # a backbone's own code, which torch.export cannot follow
                if fixed or trimap:
                    raise UserError(f"{name}: torch.export cannot follow this network: {_first_line(error)}") from error
                log.warning("not for any size, torch.export cannot follow the backbone: %s", _first_line(error))
                fixed = (loaded.trained_at, loaded.trained_at)
                worst = write(fixed, precision=precision)
    return ExportedFile(out / name, loaded.folder, worst, sizes_of(kind, fixed), loss)


def export_hub(folder: Path, target: Path) -> dict[str, Any]:
    """The matter in `folder` under the names of the Hugging Face hub, if it can be loaded. Its description."""
    load(folder)
    description = read_description(folder)
    description |= {"meta": description.get("meta") or {}, "model_type": "stylematte"}
    target.mkdir(parents=True)
    shutil.copyfile(matter_files(folder)[0], target / HUB_TENSORS)
    (target / HUB_DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    return description


def export_onnx(
    network: nn.Module,
    path: str | Path,
    name: str,
    licence: str = "",
    half: bool = False,
    trimap: bool = False,
    precision: str = "fp32",
) -> float:
    """Write `network` (eval, CPU) to path as ONNX; returns the largest difference found in onnxruntime.

    half: weights stored as float16, computed with in float32. trimap: a second input, for a network that takes one.
    precision: fp16 computes in it but for the padding and the guided filter (`compute_in_half`). Any number of
    pictures. Checked at the sizes CHECKED; raises UserError, and leaves no file, if alpha differs by more than
    TOLERANCE (half and fp16: HALF_TOLERANCE).
    """
    check_packages()
    import onnx

    def write(file: Path) -> None:
        traced = AnySize(network) if network.config.variant == "released" else network
        axes = {0: "pictures", 2: "height", 3: "width"}
        names = ["image", "trimap"] if trimap else ["image"]
        example = drawn_example(EXAMPLE, 2, trimap, torch.Generator().manual_seed(0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a trace may not see: checked below
            torch.onnx.export(
                traced.eval(),
                example,
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=["alpha"],
                dynamic_axes={each: axes for each in (*names, "alpha")},
            )
        model = onnx.load(file)
        if half:
            _halve(model)
        if precision == "fp16":
            model = compute_in_half(model)
        model.producer_name = "stylematte"
        onnx.helper.set_model_props(
            model, metadata(network, name, licence, stored, sizes_of("onnx", None), trimap, "any")
        )
        onnx.save(model, file)

    stored = "fp16" if half else precision
    allowed = TOLERANCE if stored == "fp32" else HALF_TOLERANCE
    return _kept(network, Path(path), write, _onnx_runner, CHECKED, allowed, trimap, CHECKED_BATCHES)


def export_pt2(
    network: nn.Module,
    path: str | Path,
    name: str,
    size: tuple[int, int] | None = None,
    licence: str = "",
    trimap: bool = False,
    precision: str = "fp32",
) -> float:
    """Write `network` (eval, CPU) to path for `torch.export.load`, for any number of pictures of any size.

    size: for one picture of this (height, width) only. trimap: a second input, for a network that takes one. precision:
    fp32, or bf16, in which the layers then have their weights and multiply; what comes in and out is float32. Returns
    the largest difference found; raises UserError as `export_onnx` does, and what torch.export raises.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    network.eval()
    program = to_program(network, dtype, trimap) if size is None else to_program_of_size(network, size, dtype)
    batch = "any" if size is None else "1"
    about = metadata(network, name, licence, precision, sizes_of("pt2", size), trimap, batch)

    def write(file: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = json.dumps(about, indent=1, sort_keys=True)
            torch.export.save(program, file, extra_files={"stylematte.json": told})

    allowed = BF16_TOLERANCE if precision == "bf16" else TOLERANCE
    sizes, batches = (CHECKED, CHECKED_BATCHES) if size is None else ((size,), (1,))
    return _kept(network, Path(path), write, _pt2_runner, sizes, allowed, trimap, batches)


def _halve(model: Any) -> None:
    """Store float32 weights of more than one element as float16, each followed by a Cast back."""
    import onnx

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < 2:
            continue
        full, values = weight.name, onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{full}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{full}_half"], [full], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


Runner = Callable[..., np.ndarray]
"""image, and trimap where there is one -> alpha."""


def _onnx_runner(file: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *given: session.run(None, {n: each.numpy() for n, each in zip(names, given, strict=True)})[0]


def _pt2_runner(file: Path) -> Runner:
    module = torch.export.load(file).module()
    return lambda *given: module(*given).detach().numpy()


def _kept(
    network: nn.Module,
    path: Path,
    write: Callable[[Path], None],
    runner: Callable[[Path], Runner],
    sizes: tuple[tuple[int, int], ...],
    tolerance: float,
    trimap: bool = False,
    batches: tuple[int, ...] = (1,),
) -> float:
    """Write beside `path`, compare with PyTorch, then rename; nothing stays if anything fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(partial)
        worst = largest_difference(network, runner(partial), sizes, trimap, batches)
        if not worst <= tolerance:
            raise UserError(
                f"{path.name}: alpha differs by {worst:.2g} from PyTorch's, allowed {tolerance:g}: not kept"
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def drawn_example(size: tuple[int, int], count: int, trimap: bool, random: torch.Generator) -> tuple[Tensor, ...]:
    """count smooth random pictures of `size`, and random trimaps where asked for."""
    from stylematte.imagefile import resize

    low = torch.rand(count, 3, max(1, size[0] // 8), max(1, size[1] // 8), generator=random)
    image = resize(low, size).contiguous()
    if not trimap:
        return (image,)
    return image, torch.randint(0, 3, (count, 1, *size), generator=random) / 2


def largest_difference(
    network: nn.Module,
    run: Runner,
    sizes: tuple[tuple[int, int], ...],
    trimap: bool = False,
    batches: tuple[int, ...] = (1,),
) -> float:
    """max |run(image) - network(image)| over smooth random pictures of `sizes`, as many at once as `batches` says in
    turn; inf if a shape is wrong."""
    worst, random = 0.0, torch.Generator().manual_seed(1)
    for index, (height, width) in enumerate(sizes):
        given = drawn_example((height, width), batches[index % len(batches)], trimap, random)
        with torch.no_grad():
            expected = network(*given).numpy()
        try:
            found = run(*given)
        except Exception as error:  # the runtimes raise their own
            raise UserError(f"the exported file fails at {height} x {width}: {str(error).splitlines()[0]}") from error
        if found.shape != expected.shape:
            return float("inf")
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst
