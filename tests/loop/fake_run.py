"""A run folder as three rounds would leave it, drawn in a second: for the tests of what reads run folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = 64
DOMAINS = ("portraits", "animals")
CONFIG = """run:
  dir: runs/fake
  rounds: 2
data:
  size: 64
  domains:
    portraits: portrait
    animals: animal
accept:
  margin: 0.05
"""


def make_run(folder: Path, rounds: int = 3, heldout: int = 12, seed: int = 0) -> Path:
    """Rounds 0 … rounds-1: round 1 is accepted, round 2 refused, the animals' generator of round 2 diverged."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    truths = _prepare(folder / "rounds" / "00" / "prepare", heldout, rng)
    for number in range(rounds):
        here = folder / "rounds" / f"{number:02d}"
        for domain in DOMAINS if number else ():
            _domain(here / domain, number, diverged=(number, domain) == (2, "animals"), rng=rng)
        _fit(here / "fit_matter", ("loss", "loss/l1", "loss/laplacian", "lr"), number, rng)
        _evaluate(here / "evaluate", truths, (0.45, 0.28, 0.31)[number], rng)
        _accept(here / "accept", number)
    return folder


def finish(folder: Path, metrics: dict[str, Any], seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stage.json").write_text(json.dumps({"key": "0" * 16, "metrics": metrics, "seconds": seconds}))


def rows(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def matte(rng: np.random.Generator) -> np.ndarray:
    """A soft ellipse, (SIZE, SIZE) in [0, 1]."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    cy, cx = rng.uniform(-0.12, 0.12, 2)
    ry, rx = rng.uniform(0.2, 0.4, 2)
    return np.clip((1 - np.hypot((y - cy) / ry, (x - cx) / rx)) * 4 + 0.5, 0, 1)


def picture(rng: np.random.Generator, alpha: np.ndarray, behind: np.ndarray | None = None) -> np.ndarray:
    """A shaded body over a two-colour background, (SIZE, SIZE, 3)."""
    ramp = np.linspace(0, 1, SIZE)[:, None, None]
    front = rng.random(3) * 0.6 + 0.4 * ramp
    back = (rng.random(3) * (1 - ramp) + rng.random(3) * ramp) * 0.8 if behind is None else behind
    return alpha[..., None] * front + (1 - alpha[..., None]) * back


def checkerboard() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] // 8
    return np.where((x + y) % 2, 0.85, 0.65)[..., None].repeat(3, 2)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.clip(array, 0, 1) * 255).round().astype(np.uint8)).save(path)


def save_sheet(path: Path, pictures: list[np.ndarray], columns: int) -> None:
    lines = [np.concatenate(pictures[k : k + columns], 1) for k in range(0, len(pictures), columns)]
    save(path, np.concatenate(lines, 0))


def _prepare(
    folder: Path, heldout: int, rng: np.random.Generator
) -> list[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    truths, index = [], []
    for domain in DOMAINS:
        for place in range(heldout):
            alpha, name = matte(rng), f"{domain}-{place:06d}.png"
            photo = picture(rng, alpha)
            save(folder / "image" / name, photo)
            save(folder / "alpha" / name, alpha)
            row = {"id": f"{domain}/{place:06d}", "domain": domain, "kind": "alpha", "split": "heldout"}
            index.append(row | {"image": f"image/{name}", "alpha": f"alpha/{name}", "foreground": None, "source": name})
            truths.append((index[-1], alpha, photo))
    rows(folder / "index.jsonl", index)
    rows(folder / "left_out.jsonl", [{"file": "portraits/torn.jpg", "reason": "torn.jpg: truncated <file>"}])
    splits = {"alpha": {"train": 96, "heldout": heldout}, "none": {"train": 128}}
    counts = {domain: splits for domain in DOMAINS} | {"background": {"background": {"train": 64}}}
    finish(folder, {"counts": counts, "left_out": 1}, 12.4)
    return truths


def _domain(folder: Path, number: int, diverged: bool, rng: np.random.Generator) -> None:
    label = [
        {"id": f"l{k}", "rgba": f"rgba/l{k}.png", "kept": k % 4 != 0, "confidence": 0.8 + k / 400}
        | {"reason": None if k % 4 else f"confidence {0.8 + k / 400:.3f} below 0.9"}
        for k in range(40)
    ]
    rows(folder / "label" / "index.jsonl", label)
    finish(folder / "label", {"kept": 30}, 8.1)
    _fit(folder / "fit_generator", ("loss/G", "loss/D", "loss/r1", "augment/p"), number, rng)
    if diverged:
        (folder / "fit_generator" / "stopped.json").write_text(json.dumps({"reason": "loss/D is NaN at step 120"}))
    finish(
        folder / "select_generator",
        {"frechet": 9.1 / number + len(folder.name) / 5, "kid": 0.4 / number, "n": 512},
        3.3,
    )
    save_sheet(
        folder / "select_generator" / "sheet.png", [picture(rng, matte(rng), checkerboard()) for _ in range(16)], 8
    )
    finish(folder / "synthesize", {"count": 40}, 5.0)
    rules = ("disagreement", "body", "duplicate")
    pairs = [
        {"id": f"s{k}", "rgba": f"rgba/s{k}.png", "kept": k % 3 != 0, "rule": None if k % 3 else rules[k % 9 // 3]}
        | {"reason": None if k % 3 else "a reason with 0.1 in it", "disagreement": 0.05}
        for k in range(40)
    ]
    rows(folder / "select" / "index.jsonl", pairs)
    finish(folder / "select", {"kept": 26}, 4.2)
    save_sheet(folder / "select" / "sheet.png", [picture(rng, matte(rng)) for _ in range(16)], 8)


def _fit(folder: Path, names: tuple[str, ...], number: int, rng: np.random.Generator) -> None:
    steps = range(9, 400, 10)
    scale = {name: rng.uniform(0.3, 2.0) for name in names}
    fall = {s: np.exp(-s / 120) / (1 + number) + 0.2 for s in steps}
    lines = [{"step": s} | {n: fall[s] * scale[n] * rng.normal(1, 0.05) for n in names} for s in steps]
    rows(folder / "metrics.jsonl", lines)
    finish(folder, {"steps": 400, "kimg": 6.4}, 95.0 + 40 * number)


def _evaluate(folder: Path, truths: list, error: float, rng: np.random.Generator) -> None:
    scored, probes = [], []
    for row, alpha, photo in truths:
        wrong = np.clip(alpha + error * (matte(rng) - alpha) * rng.random(), 0, 1)
        names = {kind: f"{kind}/{row['id'].replace('/', '-')}.png" for kind in ("photo", "truth", "prediction")}
        for name, shown in zip(names.values(), (photo, alpha, wrong), strict=True):
            save(folder / name, shown)
        gap = np.abs(wrong - alpha)
        scores = {
            "SAD": gap.sum() / 1000,
            "MSE": (gap**2).mean(),
            "MAD": gap.mean(),
            "Grad": gap.std(),
            "Conn": gap.max() / 9,
        }
        floors = {"zero_SAD": alpha.sum() / 1000, "constant_SAD": np.abs(alpha - np.median(alpha)).sum() / 1000}
        scored.append({k: row[k] for k in ("id", "domain", "kind")} | scores | floors | names)
        if len(probes) < 9:
            cutout = wrong[..., None] * photo + (1 - wrong[..., None]) * checkerboard()
            probes += [photo, cutout, wrong[..., None].repeat(3, 2)]
    rows(folder / "per_picture.jsonl", scored)
    keys = ("SAD", "MSE", "MAD", "Grad", "Conn", "zero_SAD", "constant_SAD")
    means = {}
    for domain in DOMAINS:
        here = [line for line in scored if line["domain"] == domain]
        means[domain] = {key: float(np.mean([line[key] for line in here])) for key in keys}
        means[domain] |= {"n": len(here), "kind": "alpha"}
    save_sheet(folder / "probes.png", probes, 9)
    finish(folder, means, 6.6)


def _accept(folder: Path, number: int) -> None:
    reasons = (
        "Accepted: it is the first matter, there is none to compare it with.",
        "Accepted: animals is not worse, SAD 0.3 to 0.26 (-13.0%, interval -24.0% to +2.0%, n=12).",
        "Refused: portraits may be worse than the best so far: SAD 0.26 to 0.27 "
        "(+4.0%, interval -6.0% to +15.0%, n=12), limit +5.0%.",
    )
    spans = ((), (-0.13, -0.24, 0.02), (0.04, -0.06, 0.15))[number]
    intervals = {}
    for domain in DOMAINS if spans else ():
        change = dict(zip(("relative_change", "low", "high"), spans, strict=True)) | {"n": 12}
        intervals[domain] = {"vs_best": change, "vs_first": change | {"low": spans[1] - 0.05}}
    verdict = {"accepted": number < 2, "reason": reasons[number], "accepted_round": min(number, 1)}
    finish(folder, {"accepted": number < 2}, 0.4)
    (folder / "verdict.json").write_text(json.dumps(verdict | {"intervals": intervals}))
