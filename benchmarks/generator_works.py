"""One measurement of `benchmarks.generator_official`, in a process of its own: prints one line of JSON.

    python -m benchmarks.generator_works '{"side": "cpu", "work": "forward", "channels": "small", "batch": 1, ...}'

Sides: cpu, torch, reference (ours), official (NVlabs/stylegan3 beside it, run as it comes; nothing of it is kept here).
The official networks want two things that are not StyleGAN: `pkg_resources` (gone from current setuptools), of which
they use one function, and no GPU, which they handle themselves.
"""

from __future__ import annotations

import json
import re
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stylemattegan import ops
from stylemattegan.networks import Discriminator, Generator
from stylemattegan.networks.schedule import LayerPlan, bands, layers
from stylemattegan.networks.synthesis import CLAMP
from stylemattegan.training import losses

CHANNELS = {"official": (32768, 512), "small": (8192, 128)}
Work = Callable[[], object]


def memory(field: str) -> float:
    """VmHWM (the peak) or VmRSS (now) of this process in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) / 1e3


class Official:
    """The official package at `folder`."""

    def __init__(self, folder: str) -> None:
        if not (Path(folder) / "training" / "networks_stylegan3.py").is_file():
            raise SystemExit(f"{folder}: no training/networks_stylegan3.py; expected a checkout of NVlabs/stylegan3")
        sys.path.insert(0, folder)
        try:
            import pkg_resources  # noqa: F401
        except ImportError:
            stand_in = types.ModuleType("pkg_resources")
            stand_in.parse_version = lambda text: tuple(int(n) for n in re.findall(r"\d+", text)[:3])
            sys.modules["pkg_resources"] = stand_in

    def networks(self, resolution: int, base: int, most: int) -> tuple[nn.Module, nn.Module]:
        from training.networks_stylegan2 import Discriminator as OfficialD
        from training.networks_stylegan3 import Generator as OfficialG

        size = dict(img_resolution=resolution, img_channels=4, channel_base=base, channel_max=most)
        G = OfficialG(z_dim=512, c_dim=0, w_dim=512, mapping_kwargs=dict(num_layers=2), **size)
        D = OfficialD(c_dim=0, epilogue_kwargs=dict(mbstd_group_size=4), **size)
        return G, D

    def filtered_lrelu(self) -> Callable[..., Tensor]:
        from torch_utils.ops.filtered_lrelu import filtered_lrelu

        return filtered_lrelu


def networks(task: dict[str, Any]) -> tuple[Callable[..., Tensor], Callable[..., Tensor], list[nn.Module]]:
    """G(z) and D(picture) of the side, and the modules themselves."""
    base, most = CHANNELS[task["channels"]]
    if task["side"] == "official":
        G, D = Official(task["folder"]).networks(task["resolution"], base, most)
        return (lambda z, **kwargs: G(z, None, **kwargs)), (lambda x: D(x, None)), [G, D]
    ops.set_default(task["side"])
    G = Generator(512, 512, task["resolution"], channel_base=base, channel_max=most)
    return G, (D := Discriminator(task["resolution"], channel_base=base, channel_max=most)), [G, D]


def forward(task: dict[str, Any]) -> dict[str, Work]:
    G, _, _ = networks(task)
    z = torch.randn(task["batch"], 512)

    def work() -> None:
        with torch.inference_mode(task["side"] != "official"), torch.no_grad():
            G(z)

    return {"": work}


def backward(task: dict[str, Any]) -> dict[str, Work]:
    G, _, modules = networks(task)
    z = torch.randn(task["batch"], 512)

    def work() -> None:
        modules[0].zero_grad(set_to_none=True)
        G(z).sum().backward()

    return {"": work}


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


def lrelu(task: dict[str, Any], gradients: bool) -> dict[str, Work]:
    """All filtered leaky ReLUs of T, each side with the memory order that its network hands it."""
    base, most = CHANNELS[task["channels"]]
    plans = [p for p in layers(bands(task["resolution"], 4, base, most)) if not p.is_torgb]
    given = [layer_inputs(plan) for plan in plans]
    if task["side"] == "official":
        function = Official(task["folder"]).filtered_lrelu()
    else:
        function = ops.filtered_lrelu
        ops.set_default(task["side"])
        for arguments in given:
            arguments["x"] = arguments["x"].contiguous(memory_format=torch.channels_last)
    for arguments in given:
        arguments["x"].requires_grad_(gradients)
        arguments["b"].requires_grad_(gradients)

    def work() -> None:
        for arguments in given:
            with torch.set_grad_enabled(gradients):
                y = function(**arguments)
                if gradients:
                    torch.autograd.grad(y.sum(), [arguments["x"], arguments["b"]])

    return {"": work}


def step(task: dict[str, Any]) -> dict[str, Work]:
    """The phases of a training step without augmentation: G, D, and R1."""
    G, D, (g, d) = networks(task)
    adams = [torch.optim.Adam(n.parameters(), lr=1e-4, betas=(0.0, 0.99)) for n in (g, d)]
    batch, size = task["batch"], task["resolution"]
    real = torch.randn(batch, 4, size, size).clamp(-1, 1)

    def update(which: int, loss: Tensor) -> None:
        adams[which].zero_grad()
        loss.backward()
        adams[which].step()

    def generator() -> None:
        d.requires_grad_(False)
        update(0, losses.logistic_g(D(G(torch.randn(batch, 512)))).mean())
        d.requires_grad_(True)

    def discriminator() -> None:
        with torch.no_grad():
            fake = G(torch.randn(batch, 512), update_emas=True)
        update(1, losses.logistic_d_fake(D(fake)).mean() + losses.logistic_d_real(D(real)).mean())

    def r1() -> None:
        x = real.clone().requires_grad_()
        update(1, losses.r1_penalty(x, D(x)).mean())

    return {"G": generator, "D": discriminator, "R1": r1}


WORKS: dict[str, Callable[[dict[str, Any]], dict[str, Work]]] = {
    "lrelu": lambda task: lrelu(task, False),
    "lrelu+backward": lambda task: lrelu(task, True),
    "forward": forward,
    "forward+backward": backward,
    "step": step,
}


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    if task["side"] != "official" and task["work"] not in ("lrelu", "forward"):
        ops.keep_big_blocks()
    works = WORKS[task["work"]](task)
    before = memory("VmRSS")
    seconds, busy = {}, {}
    for name, work in works.items():
        work()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(task["repeats"]):
            work()
        seconds[name] = (time.perf_counter() - wall) / task["repeats"]
        busy[name] = (time.process_time() - cpu) / task["repeats"]
    print(json.dumps({"seconds": seconds, "cpu": busy, "mb": memory("VmHWM") - before}))


if __name__ == "__main__":
    main()
