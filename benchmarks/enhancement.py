"""Inversion and enhancement against a naive implementation: pictures an hour and peak memory, in one run.

    python -m benchmarks.enhancement [--sides 64 256] [--pictures 4] [--steps 12]

Naive: a picture at a time, weights that collect gradients, features of the target computed at every step, the offset's
graph through all layers. Each in a process of its own, whose peak memory is its own. A full inversion has 360 steps,
a full move 60: pictures an hour are those of so many, by the CPU time of one thread (others may use the machine). The
generators have random weights, which changes nothing of what a picture costs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

STEPS = {"invert": 360, "enhance": 60}


def measure(what: str, how: str, side: int, pictures: int, steps: int) -> dict[str, float]:
    """Pictures an hour at full length, and the process's peak memory in MiB, before and at the end."""
    import torch

    from stylemattegan.enhance import EnhanceConfig, enhance, scene_of, trimap_free
    from stylemattegan.inversion import InvertConfig, code_of, invert, random_pyramid, whole
    from stylemattegan.networks.generator import Generator
    from stylemattegan.sample import latents, sample

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"channel_base": 1024 * side // 64, "channel_max": 64, "num_layers": 8, "margin_size": 4}
    G = Generator(64, 128, side, **sizes).eval().requires_grad_(how == "naive")
    matter = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 1, 3, padding=1), torch.nn.Sigmoid()
    ).requires_grad_(how == "naive")
    perceptual, batch = random_pyramid(), 1 if how == "naive" else pictures
    with torch.no_grad():
        own = sample(G, list(range(pictures)), [1.0] * pictures, 1)
        code = code_of(G.mapping(latents(range(pictures), 64)))
        scene = scene_of(G, code, torch.full((pictures, 3, side, side), 0.5))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def seconds(count: int) -> float:
        """CPU time of all pictures at so many steps, the fixed costs with them."""
        start = time.process_time()
        for first in range(0, pictures, batch):
            rows = slice(first, first + batch)
            if what == "invert" and how == "naive":
                naive_inversion(G, whole(own[rows]), perceptual, count)
            elif what == "invert":
                offset = max(1, count // 6)
                config = InvertConfig(steps=count - offset, offset_steps=offset, samples=0)
                invert(G, whole(own[rows]), perceptual, config)
            else:
                part = scene._replace(picture=scene.picture[rows], background=scene.background[rows])
                config = EnhanceConfig(count, check=max(1, count // 2), patience=99)
                enhance(G, code.rows(rows), part, trimap_free(matter), perceptual, config)
        return time.process_time() - start

    seconds(2)
    few, many = seconds(2), seconds(2 + steps)
    full = few + (many - few) * (STEPS[what] - 2) / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"hourly": 3600 * pictures / full, "peak": peak, "before": before}


def naive_inversion(G, targets, perceptual, steps: int) -> None:
    """W+ and an offset by Adam, as one writes it first."""
    import torch

    from stylemattegan.inversion.code import code_of, cutouts, encoded, features, over

    code = code_of(G.mapping.w_avg.expand(len(targets.cutout), G.num_ws, -1).clone())._replace(layer=5)
    w = code.w.detach().requires_grad_()
    offset = torch.zeros_like(features(G, code)).requires_grad_()
    for step in range(steps):
        moving = w if step < steps * 5 // 6 else offset
        optimizer = torch.optim.Adam([moving], 0.03)
        made = cutouts(encoded(G, code._replace(w=w, offset=offset)))
        seen = perceptual.distance(perceptual.of(over(made, 0.5)), perceptual.of(over(targets.cutout, 0.5)))
        loss = (made - targets.cutout).square().mean() + seen.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        what, how, side = args.one
        print(json.dumps(measure(what, how, int(side), args.pictures, args.steps)))
        return
    print("side  what     how      pictures/hour  peak MiB  of them for the work")
    for side in args.sides:
        for what in STEPS:
            for how in ("naive", "ours"):
                words = ["--pictures", str(args.pictures), "--steps", str(args.steps), "--one", what, how, str(side)]
                command = [sys.executable, "-m", "benchmarks.enhancement", *words]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                hourly, peak = found["hourly"], found["peak"]
                work = peak - found["before"]
                print(f"{side:4}  {what:7}  {how:7}  {hourly:13.0f}  {peak:8.0f}  {work:8.0f}", flush=True)


if __name__ == "__main__":
    main()
