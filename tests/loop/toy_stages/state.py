"""Says what state its process had at the start, and leaves marks that a later stage in the same process would find."""

import os
import random
import signal
import sys

IMPORTED = [name for name in ("numpy", "torch") if name in sys.modules]

import numpy as np  # noqa: E402
import torch  # noqa: E402


def run(ctx):
    seen = os.environ.get("STAGE_MARK", "") + getattr(sys, "stage_mark", "")
    os.environ["STAGE_MARK"] = sys.stage_mark = "seen"
    metrics = {
        "imported": IMPORTED,
        "seen": seen,
        "torch": float(torch.rand(())),
        "random": random.random(),
        "numpy": float(np.random.rand()),
        "signals": [callable(signal.getsignal(signum)) for signum in (signal.SIGINT, signal.SIGTERM)],
    }
    torch.manual_seed(1)
    return metrics
