"""The device of a stage that only predicts or samples."""

import torch

from loop.engine.stage import Context


def device_for(ctx: Context) -> torch.device:
    """The GPU if there is one and launch.accelerator allows it, else the CPU."""
    wanted = ctx.runtime.get("accelerator", "auto")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
