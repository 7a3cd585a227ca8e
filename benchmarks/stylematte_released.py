"""The released network against the authors' code, forward on a CPU, in one run on this machine.

    python -m benchmarks.stylematte_released --reference CHECKOUT/stylematte [--sizes 512 1024] [--threads 1]

CHECKOUT is a clone of github.com/chroneus/stylematte; its models.py needs transformers, whose own code is most of what
is measured (`pip install transformers`, 4.x or later, in this environment or on PYTHONPATH). Both get the same random
weights and pictures. Without --reference our own straightforward version stands in: F.linear and grid_sample, the paths
that training takes. Prints seconds of process time (1 thread) or wall time, the ratio, and the largest difference.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from stylematte.networks.released.checkpoint import AUTHORS
from stylematte.networks.released.keys import released_keys, renamed, to_released
from stylematte.networks.released.network import ReleasedStyleMatte

STAGES = ["stage1", "stage2", "stage3", "stage4"]


def seconds(work: Callable[[], Tensor], clock: Callable[[], float], repeats: int) -> tuple[float, Tensor]:
    """The best of a few runs, and what it gave."""
    times = []
    for _ in range(repeats):
        start = clock()
        result = work()
        times.append(clock() - start)
    return min(times), result


def reference_network(folder: Path, ours: ReleasedStyleMatte) -> nn.Module:
    """The authors' network with our weights. Nothing is downloaded: they get an empty network of that architecture."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    swin = SwinConfig(depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], embed_dim=96, window_size=7, out_features=STAGES)
    empty = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=swin))
    sys.path.insert(0, str(folder))
    try:
        with mock.patch.object(Mask2FormerForUniversalSegmentation, "from_pretrained", return_value=empty):
            network = importlib.import_module("models").StyleMatte().eval()
    finally:
        sys.path.remove(str(folder))
    theirs: dict[str, Any] = to_released(ours.state_dict(), released_keys(ours.config))
    if any(".swin." in key for key in network.state_dict()):
        theirs = {renamed(key): value for key, value in theirs.items()}
    missing, unexpected = network.load_state_dict(theirs, strict=False)
    assert not unexpected, unexpected
    assert all("relative_position_index" in key or ".swin.layernorm." in key for key in missing), missing
    return network


def straightforward(network: ReleasedStyleMatte) -> Callable[[Tensor], Tensor]:
    """Our network without its fast paths."""

    def forward(picture: Tensor) -> Tensor:
        never = mock.Mock(return_value=False)
        with (
            mock.patch("stylematte.ops.pointwise.plain_inference", never),
            mock.patch("stylematte.ops.deform_attention.plain_inference", never),
        ):
            return network.from_normalised(picture)

    return forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="the folder with the authors' models.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ours = ReleasedStyleMatte(AUTHORS).eval()
    against = reference_network(args.reference, ours) if args.reference else straightforward(ours)
    name = "reference" if args.reference else "plain"
    clock = time.process_time if args.threads == 1 else time.perf_counter
    print(f"{'size':>10} {name:>10} {'ours':>9} {'ratio':>7} {'max difference':>15}")
    for size in args.sizes:
        picture = torch.randn(1, 3, size, size)
        with torch.no_grad():
            slow, theirs = seconds(lambda picture=picture: against(picture), clock, args.repeats)
            fast, found = seconds(lambda picture=picture: ours.from_normalised(picture), clock, args.repeats)
        difference = (theirs - found).abs().max().item()
        print(f"{size:>5}^2    {slow:9.2f}s {fast:8.2f}s {slow / fast:6.2f}x {difference:15.1e}")


if __name__ == "__main__":
    main()
