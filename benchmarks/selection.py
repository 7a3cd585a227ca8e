"""The gate on pairs: how well it tells good alphas from bad ones, by a trained matter, on pictures of known alpha.

    python -m benchmarks.selection RUN [--round N] [--seeds 5] [--good 0.03] [--json FILE]

RUN is a run folder: its accepted matter is the gate's, and the held-out pictures with an alpha (no fit has seen them)
are the truth. Each is cut out, framed as a generator's are, and its alpha is left clean or spoilt as generators spoil
theirs (`stylematte.refine.artefacts.spoil`). A pair is good if the alpha that would be learned from, raw or refined,
is off by less than --good of the subject's area. Then `refine_pairs` and `select` decide as in the loop: the matter
sees the cut-out on new backgrounds, composed with the alpha in question. Last, select's pairs a second.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from loop.config.schema import SelectConfig
from loop.pair_rules import Recognised, apply_rules
from loop.pools import background_files, data_rows, read_cutout
from loop.stages.select import disagreement
from stylematte.data.drawn.dataset import draw
from stylematte.data.folders import centre_square
from stylematte.imagefile import read_rgb
from stylematte.networks.weights import load_matter
from stylematte.refine.artefacts import spoil
from stylematte.refine.cutout import refine_cutout
from stylematte.sampling import position_seed
from stylemattegan.framing import frame_cutout

THRESHOLDS = (0.03, 0.04, 0.05, 0.06, 0.08, 0.12, 0.2)
BATCH = 32
Gate = Callable[["Case"], bool]


@dataclass(frozen=True)
class Case:
    """One cut-out as a generator might have given it. Errors are over the subject's area; gaps: disagreement."""

    domain: str
    artefacts: tuple[str, ...]
    raw: float
    refined: float
    select_accepts: bool
    """By its rules on shape."""
    refine_accepts: bool
    raw_gap: float
    refined_gap: float


def cases(run: Path, round_: int | None, seeds: int, size: int) -> list[Case]:
    """Every held-out picture with an alpha, spoilt `seeds` times."""
    data = run / "rounds/00/prepare"
    network = load_matter(sorted(run.glob("rounds/[0-9][0-9]/accept"))[-1 if round_ is None else round_])
    backgrounds = [centre_square(read_rgb(file), size) for file in background_files(data)]
    found = []
    for seed in range(seeds):
        rows = [(row["domain"], row["id"], frame_cutout(read_cutout(data, row), size)) for row in truths(data)]
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            picks = [[position_seed(seed, id_, k) % len(backgrounds) for _, id_, _ in part] for k in range(2)]
            behind = torch.stack([torch.stack([backgrounds[i] for i in line]) for line in picks])
            rngs = [np.random.default_rng(position_seed(seed, id_)) for _, id_, _ in part]
            found += _batch([(domain, rgba) for domain, _, rgba in part], rngs, network, behind)
    return found


def truths(data: Path) -> list[dict]:
    """Held-out rows with a true alpha, and where a domain has none of these, with a pseudo-alpha."""
    return [row for row in data_rows(data, "heldout") if row.get("foreground")]


def _batch(
    part: Sequence[tuple[str, Tensor]], rngs: Sequence[np.random.Generator], network: torch.nn.Module, behind: Tensor
) -> Iterator[Case]:
    spoilt = [spoil(rgba[3].numpy(), rng) for (_, rgba), rng in zip(part, rngs, strict=True)]
    raw = [torch.cat([rgba[:3], torch.from_numpy(s.alpha)[None]]) for (_, rgba), s in zip(part, spoilt, strict=True)]
    refined = [refine_cutout(picture) for picture in raw]
    gaps = [disagreement(network, torch.stack(pictures), behind) for pictures in (raw, [r for r, _ in refined])]
    for k, (domain, truth) in enumerate(part):
        area = float(truth[3].sum())
        errors = [float((picture[3] - truth[3]).abs().sum()) / area for picture in (raw[k], refined[k][0])]
        shape, (_, _, verdict) = _select_accepts(raw[k]), refined[k][1]
        yield Case(domain, spoilt[k].artefacts, *errors, shape, verdict.accepted, *(float(gap[k]) for gap in gaps))


def _select_accepts(rgba: Tensor) -> bool:
    row = {"disagreement": 0.0}
    apply_rules(row, rgba, SelectConfig(), Recognised(), Recognised())
    return bool(row["kept"])


def gates() -> dict[str, tuple[Gate, bool]]:
    """Name -> (the gate, whether what it keeps is refined)."""
    found: dict[str, tuple[Gate, bool]] = {
        "none, raw": (lambda case: True, False),
        "shape, raw": (lambda case: case.select_accepts, False),
        "none, refined": (lambda case: True, True),
        "refine's rules": (lambda case: case.refine_accepts, True),
    }
    for most in THRESHOLDS:
        found[f"shape and disagreement <= {most}, raw"] = (_below(most, refined=False), False)
    for most in THRESHOLDS:
        found[f"refine's rules and disagreement <= {most}"] = (_below(most, refined=True), True)
    return found


def _below(most: float, refined: bool) -> Gate:
    if refined:
        return lambda case: case.refine_accepts and case.refined_gap <= most
    return lambda case: case.select_accepts and case.raw_gap <= most


def table(found: Sequence[Case], good: float) -> list[str]:
    """Precision and recall of every gate, as a table of markdown."""
    lines = ["| gate | kept | good among kept (precision) | kept of the good (recall) |", "|---|---|---|---|"]
    for name, (gate, refined) in gates().items():
        truth = np.array([(case.refined if refined else case.raw) < good for case in found])
        kept = np.array([gate(case) for case in found])
        both = float((truth & kept).sum())
        shares = f"{both / max(kept.sum(), 1):.1%} | {both / max(truth.sum(), 1):.1%}"
        lines.append(f"| {name} | {kept.mean():.0%} | {shares} |")
    return lines


def ranking(found: Sequence[Case], good: float) -> list[str]:
    """How well disagreement ranks what the rules on shape let through: the area under its ROC curve, 1/2 by chance."""
    lines = []
    for what, refined in (("raw", False), ("refined", True)):
        passed = [case for case in found if (case.refine_accepts if refined else case.select_accepts)]
        gaps = np.array([case.refined_gap if refined else case.raw_gap for case in passed])
        is_good = np.array([(case.refined if refined else case.raw) < good for case in passed])
        area = np.mean(gaps[is_good][:, None] < gaps[~is_good][None]) if 0 < is_good.sum() < len(passed) else np.nan
        lines.append(f"ranking of {len(passed)} {what} pairs by disagreement: area under the ROC curve {area:.3f}")
    return lines


def by_artefact(found: Sequence[Case], good: float, most: float) -> list[str]:
    """What becomes of each kind of pair that has one artefact, or none."""
    lines = ["| artefact | pairs | good raw | kept raw | good refined | kept refined |", "|---|---|---|---|---|---|"]
    kinds: dict[str, list[Case]] = {}
    for case in found:
        if len(case.artefacts) < 2:
            kinds.setdefault(next(iter(case.artefacts), "none"), []).append(case)
    for kind, those in sorted(kinds.items()):
        shares = [
            np.mean([case.raw < good for case in those]),
            np.mean([_below(most, refined=False)(case) for case in those]),
            np.mean([case.refined < good for case in those]),
            np.mean([_below(most, refined=True)(case) for case in those]),
        ]
        lines.append(f"| {kind} | {len(those)} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")
    return lines


def speed(hashed: bool, count: int = 400, size: int = 256) -> float:
    """apply_rules on `count` pairs, 2000 kept before them; without reading files and without the matter's time."""
    rng = torch.Generator().manual_seed(0)
    kept = Recognised((torch.rand(4, 32, 32, generator=rng) for _ in range(2000)), hashed)
    pictures = torch.rand(count, 4, size, size, generator=rng)
    pictures[:, 3] = draw("portrait", 0, size).alpha[0]
    start = time.process_time()
    rules = SelectConfig(max_similarity=1, min_hash_bits=int(hashed))
    for picture in pictures:
        apply_rules({"disagreement": 0.0}, picture, rules, kept, Recognised())
    return count / (time.process_time() - start)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder with prepared data and an accepted matter")
    parser.add_argument("--round", type=int, help="of the matter (default: the last)")
    parser.add_argument("--seeds", type=int, default=5, help="times that each alpha is spoilt")
    parser.add_argument("--size", type=int, default=64, help="side of the pairs in pixels")
    parser.add_argument("--good", type=float, default=0.03, help="error over the area of a good pair, at most")
    parser.add_argument("--threshold", type=float, default=0.05, help="disagreement of the table by artefact")
    parser.add_argument("--json", type=Path, help="every case, for other thresholds")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = cases(args.run, args.round, args.seeds, args.size)
    if args.json:
        args.json.write_text(json.dumps([asdict(case) for case in found]))
    for domain in sorted({case.domain for case in found}):
        those = [case for case in found if case.domain == domain]
        print(f"\n{domain}: {len(those)} pairs of {len(those) // args.seeds} pictures\n")
        parts = (table(those, args.good), ranking(those, args.good), by_artefact(those, args.good, args.threshold))
        print("\n\n".join("\n".join(part) for part in parts))
    print(f"\nselect's rules at 256 x 256: {speed(False):.0f} pairs a CPU second, with hashes {speed(True):.0f}")


if __name__ == "__main__":
    main()
