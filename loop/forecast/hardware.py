"""Rates of hardware: what was measured on one, and published figures by which it is scaled to others.

Measured are one core of an AMD EPYC (Zen 5, AVX-512; process time, float32) and one NVIDIA H200 (torch 2.11, float32
without TF32; docs/ops.md). There StyleGAN3-T's four passes at 256 x 256 gave 10.6 to 15.7 million million multiply-adds
a second, so that GPUs are compared by what they can multiply in float32 at most.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from loop.config.schema import Config


class Hardware(NamedTuple):
    """One device: a CPU core, or a GPU."""

    name: str
    gpu: bool
    macs: float
    """Multiply-adds a second of G's and D's convolutions in training."""
    matter_macs: float
    """Of a matter's."""
    fine: float
    """Values of G's fine grid a second; inf: seen in no measurement."""
    maps: float
    """Values of D's feature maps a second."""
    layer: float
    """Seconds a layer and pass, however small."""
    step: float
    """Seconds that a generator's step takes at least."""
    matter_step: float
    """Seconds that a matter's step takes at least."""
    pixel: float
    """Seconds a pixel of a matter's losses, forward and backward."""
    memory: float
    """Bytes; 0: the machine's own."""
    source: str
    """What the numbers rest on, as a sentence."""


INF = float("inf")
CPU = Hardware(
    "CPU",
    False,
    macs=2.5e11,
    matter_macs=3.8e10,
    fine=8.6e8,
    maps=7.7e8,
    layer=2.0e-4,
    step=0.0,
    matter_step=0.0,
    pixel=6.5e-7,
    memory=0,
    source="measured on one core of an AMD EPYC (Zen 5, AVX-512); other processors, and plain torch without a C++ "
    "compiler, may be several times slower",
)
H200 = Hardware(
    "H200",
    True,
    macs=1.3e13,
    matter_macs=1.3e13,
    fine=INF,
    maps=INF,
    layer=0.0,
    step=0.148,
    matter_step=0.05,
    pixel=2e-9,
    memory=141e9,
    source="generators: measured on one H200 at 256 x 256 (docs/ops.md), a step takes 0.148 s or more; the matter was "
    "not measured on a GPU: its multiply-adds are counted at the generator's rate, a step takes 0.05 s or more",
)
PEAK = {
    "h200": (67.0, 141),
    "h100": (67.0, 80),
    "a100": (19.5, 80),
    "a100-40gb": (19.5, 40),
    "rtx4090": (82.6, 24),
    "rtx3090": (35.6, 24),
    "l4": (30.3, 24),
    "a10": (31.2, 24),
    "v100": (15.7, 32),
}
"""GPU -> float32 peak in TFLOPS and memory in GB, as its maker publishes them."""
NAMES = ("cpu", *PEAK)


def hardware(name: str) -> Hardware:
    """The rates of one of NAMES; those of a GPU that nothing was measured on are the H200's, scaled by peaks."""
    if name == "cpu":
        return CPU
    peak, memory = PEAK[name]
    if name == "h200":
        return H200
    part = peak / PEAK["h200"][0]
    return H200._replace(
        name=name.upper(),
        macs=H200.macs * part,
        matter_macs=H200.matter_macs * part,
        pixel=H200.pixel / part,
        memory=memory * 1e9,
        source=f"no measurement on this GPU: scaled from the H200 by published float32 peaks (x {part:.2f}); "
        f"{H200.source}",
    )


def assumed(config: Config) -> str:
    """The name where none is given: a GPU where there are several devices or the configuration wants one, else cpu."""
    launch = config.launch
    wants_gpu = launch.accelerator == "gpu" or launch.devices > 1 or config.generator.fit.precision.value == "fp16"
    return "h200" if wants_gpu and launch.accelerator != "cpu" else "cpu"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
