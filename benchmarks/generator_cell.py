"""One measurement of `benchmarks.generator_official`, in a process of its own: prints one line of JSON.

    python -m benchmarks.generator_cell '{"side": "cpu", "work": "step", "channels": "small", "batch": 4, ...}'

Works: forward and forward+backward of G, lrelu (all filtered leaky ReLUs of T), D and R1 (forward + backward), step (a
whole training step). The first pass warms up and its outputs are compared: pictures, logits, loss terms, gradients.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.generator_profile import profiled
from benchmarks.generator_sides import (
    CHANNELS,
    R1_EVERY,
    Official,
    OurNetworks,
    Ours,
    Side,
    Size,
    Trained,
    import_from,
)
from stylemattegan import ops
from stylemattegan.networks.schedule import LayerPlan, bands, layers
from stylemattegan.networks.synthesis import CLAMP
from stylemattegan.training import losses

Seconds = dict[str, tuple[float, float]]
Work = tuple[Callable[[], dict[str, Tensor]], Callable[[], Seconds]]
"""The first pass, which gives what is compared, and a timed one, which gives wall and CPU seconds by phase."""
AUGMENT_P = 0.2
SHOWN = 1 << 20
"""At most so many numbers of a gradient are compared, evenly spread."""


def memory(field: str) -> float:
    """VmHWM (the peak) or VmRSS (now) of this process in MB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found
    return int(found.group(1)) / 1e3


def size_of(task: dict[str, Any]) -> Size:
    return Size(task["channels"], task["resolution"], task["batch"])


def for_fit(task: dict[str, Any]) -> Trained:
    size = size_of(task)
    if task["side"] == "official":
        return Official(size, task["folder"], task["batch_gpu"])
    return Ours(size, task["side"])


def for_sampling(task: dict[str, Any]) -> Side:
    return for_fit(task) if task["side"] == "official" else OurNetworks(size_of(task), task["side"])


def once(work: Callable[[], object]) -> Callable[[], Seconds]:
    def run() -> Seconds:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return {"": (time.perf_counter() - wall, time.process_time() - cpu)}

    return run


def thinned(values: Tensor) -> Tensor:
    flat = values.detach().flatten()
    return flat[:: max(1, -(-len(flat) // SHOWN))].clone()


def gradients(module: nn.Module) -> Tensor:
    return torch.cat([thinned(p.grad) for p in module.parameters() if p.grad is not None])


def real_pictures(task: dict[str, Any]) -> Tensor:
    shape = task["batch"], 4, task["resolution"], task["resolution"]
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def latents(task: dict[str, Any]) -> Tensor:
    return torch.randn(task["batch"], 512, generator=torch.Generator().manual_seed(2))


def forward(task: dict[str, Any]) -> Work:
    side, z = for_sampling(task), latents(task)

    def work() -> Tensor:
        with torch.inference_mode(task["side"] != "official"), torch.no_grad():
            return side.pictures(z)

    return (lambda: {"pictures": work()}), once(work)


def forward_backward(task: dict[str, Any]) -> Work:
    side, z = for_fit(task), latents(task)
    G = side.modules[0].requires_grad_(True)

    def work() -> Tensor:
        G.zero_grad(set_to_none=True)
        pictures = side.pictures(z)
        pictures.square().mean().backward()
        return pictures.detach()

    return (lambda: {"pictures": work(), "gradient of G": gradients(G)}), once(work)


def discriminator(task: dict[str, Any], penalty: bool) -> Work:
    """Forward + backward of D's loss on real pictures, or of R1."""
    side, real = for_fit(task), real_pictures(task)
    D = side.modules[1].requires_grad_(True)

    def work() -> Tensor:
        D.zero_grad(set_to_none=True)
        x = real.clone().requires_grad_(penalty)
        logits = side.logits(x)
        loss = losses.r1_penalty(x, logits) if penalty else losses.logistic_d_real(logits)
        loss.mean().backward()
        return torch.stack([logits.detach().flatten(), loss.detach().flatten()])

    return (lambda: {"logits and loss": work(), "gradient of D": gradients(D)}), once(work)


def step(task: dict[str, Any]) -> Work:
    """Step 0 without augmentation is compared; then step 16, also with R1, with each transform at a probability."""
    side, real, z = for_fit(task), real_pictures(task), latents(task)

    def first() -> dict[str, Tensor]:
        with torch.no_grad():
            found = {"pictures": side.pictures(z[:1]), "logits": side.logits(real[:4])}
        side.step(0, real, 0.0)
        terms = {name: torch.tensor(side.terms[name]) for name in ("G/loss", "D/loss", "D/r1")}
        return found | terms | {"gradient of G": gradients(side.modules[0])}

    def timed() -> Seconds:
        side.step(R1_EVERY, real, AUGMENT_P)
        return side.seconds

    return first, timed


def layer_inputs(plan: LayerPlan) -> dict[str, Any]:
    """The published geometry of one non-linearity: what follows the convolution, and the arguments."""
    size = plan.source.size + plan.kernel - 1
    up = ops.lowpass_filter(plan.up_taps, plan.source.cutoff, plan.source.half_width * 2, plan.inner_rate)
    down = ops.lowpass_filter(
        plan.down_taps, plan.target.cutoff, plan.target.half_width * 2, plan.inner_rate, plan.radial
    )
    x, b = torch.randn(1, plan.target.channels, size, size), torch.randn(plan.target.channels)
    pads = [plan.before, plan.after] * 2
    return dict(x=x, fu=up, fd=down, b=b, up=plan.up, down=plan.down, padding=pads, clamp=CLAMP)


def lrelu(task: dict[str, Any]) -> Work:
    """All filtered leaky ReLUs of T, each side with the memory order that its network hands it."""
    base, most = CHANNELS[task["channels"]]
    given = [layer_inputs(p) for p in layers(bands(task["resolution"], 4, base, most)) if not p.is_torgb]
    function: Callable[..., Tensor]
    if task["side"] == "official":
        import_from(task["folder"])
        from torch_utils.ops.filtered_lrelu import filtered_lrelu as function
    else:
        function = ops.filtered_lrelu
        ops.set_default(task["side"])
        for arguments in given:
            arguments["x"] = arguments["x"].contiguous(memory_format=torch.channels_last)

    def work(keep: Callable[[Tensor], Tensor | None] = lambda y: None) -> list[Tensor | None]:
        with torch.no_grad():
            return [keep(function(**arguments)) for arguments in given]

    return (lambda: {f"layer {n}": y for n, y in enumerate(work(thinned)) if y is not None}), once(work)


WORKS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "lrelu": lrelu,
    "forward": forward,
    "forward+backward": forward_backward,
    "D": lambda task: discriminator(task, penalty=False),
    "R1": lambda task: discriminator(task, penalty=True),
    "step": step,
}


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    first, timed = WORKS[task["work"]](task)
    before = memory("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    save_file({name: value.contiguous() for name, value in first().items()}, task["outputs"])
    taken = [timed() for _ in range(task["repeats"])]
    peak = memory("VmHWM") - before
    more = {"profile": profiled(timed, task["side"])} if task["profile"] else {}
    seconds = {
        clock: {name: sum(each[name][n] for each in taken) / len(taken) for name in taken[0]}
        for n, clock in enumerate(("wall", "cpu"))
    }
    print(json.dumps({**seconds, "mb": peak, **more}))


if __name__ == "__main__":
    main()
