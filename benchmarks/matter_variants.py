"""Time and memory of a forward of the matter's networks, at full size with random weights.

    python -m benchmarks.matter_variants [--sizes 512 1024] [--memory 2048] [--tile 1024] [--repeats 3]

One thread, a process for each; seconds are process time of the best run after the first, memory is what the peak
resident size grows by over the process with its network and picture. What each learns of the same pictures:
`stylematte experiment matter-variants`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

VARIANTS = ("fpn", "released", "detail")


def peak_bytes() -> int:
    """The most memory that this process has had so far (VmHWM; the kernel's own count)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def measure(variant: str, size: int, repeats: int, tile: int) -> None:
    """In the child: one network, one size, in tiles or (0) in one piece; prints JSON."""
    import torch

    from stylematte.config import network_from_plain
    from stylematte.inference.tiles import in_tiles
    from stylematte.networks.variants import build_matter

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_matter(network_from_plain({"variant": variant})).eval()
    picture = torch.rand(1, 3, size, size)
    times = []
    with torch.inference_mode():
        network(picture[..., :64, :64])  # what torch loads on first use is not the network's
        before, grown = peak_bytes(), 0
        for run in range(repeats):
            start = time.process_time()
            in_tiles(network, picture, tile) if tile else network(picture)
            times.append(time.process_time() - start)
            grown = grown or (peak_bytes() - before if run == 0 else 0)
    print(json.dumps({"seconds": min(times), "bytes": grown, "total": peak_bytes()}))


def child(variant: str, size: int, repeats: int, tile: int = 0) -> dict[str, float]:
    words = ["measure", variant, str(size), str(repeats), str(tile)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.matter_variants", *words], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def speed(args: argparse.Namespace) -> None:
    print(f"{'size':>6} {'network':>9} {'seconds':>8} {'released / it':>14} {'memory':>10} {'process':>10}")
    for size in args.sizes:
        rows = {variant: child(variant, size, args.repeats) for variant in VARIANTS}
        for variant, row in rows.items():
            ratio = rows["released"]["seconds"] / row["seconds"]
            print_speed(size, variant, row, f"{ratio:.2f}x")
    for size in args.memory:
        print_speed(size, "detail", child("detail", size, 1), "")
        print_speed(size, "in tiles", child("detail", size, 1, args.tile), "")


def print_speed(size: int, variant: str, row: dict[str, float], ratio: str) -> None:
    grown, total = (f"{row[key] / 2**20:.0f} MiB" for key in ("bytes", "total"))
    print(f"{size:>4}^2 {variant:>9} {row['seconds']:8.2f} {ratio:>14} {grown:>10} {total:>10}", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        return measure(sys.argv[2], *map(int, sys.argv[3:6]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024])
    parser.add_argument("--memory", type=int, nargs="*", default=[2048], help="sizes at which detail alone runs once")
    parser.add_argument("--tile", type=int, default=1024, help="side of the tiles of detail's second run there")
    parser.add_argument("--repeats", type=int, default=3)
    speed(parser.parse_args())


if __name__ == "__main__":
    main()
