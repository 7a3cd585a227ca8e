"""How good a generator is, in one call: distances to real pictures, of alphas too, path length, equivariance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from stylematte.sampling import position_seed
from stylemattegan import metrics
from stylemattegan.config import AGAINST_REAL, Metric
from stylemattegan.metrics.cutout_distances import Cutouts, gathered, one_batch
from stylemattegan.metrics.features import Blocks, Features, collect, joined, units
from stylemattegan.networks.generator import Generator
from stylemattegan.sample import sample, shown

BATCH, NEIGHBOURS, COVERAGE_NEIGHBOURS = 16, 3, 5
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""(things, what is being done, how many) -> the things, on the way past a progress bar."""


def untracked(things: Iterable[Any], doing: str, total: int) -> Iterable[Any]:
    return things


def measure(
    generator: Generator,
    features: Features,
    wanted: Sequence[Metric] = tuple(Metric),
    *,
    real: Sequence[Callable[[], Tensor]] = (),
    count: int = 1000,
    seed: int = 0,
    straight: bool = False,
    halves: int = 0,
    resamples: int = 0,
    track: Track = untracked,
) -> dict[str, float]:
    """Values by name: frechet, kid, precision, recall, density, coverage, those of `metrics.cutout_distances`, ppl,
    eqt, eqt_frac, eqr. Those of different features cannot be compared, Fréchet distances neither at different counts.

    generator: unconditional, in eval mode. real: what reads each real picture (3 or 4, R, R) in [0, 1]; without any,
    `wanted` may hold ppl and eq alone. count: pictures, paths and moved pictures. seed: of all that is drawn. straight:
    see `stylemattegan.sample.shown`. halves: also frechet_error and kid_error, their standard errors by so many halves.
    resamples: also NAME_error of each distance of cut-outs, by so many bootstrap sets.
    Raises ValueError for a metric that has nothing to compare with.
    """
    against = [metric for metric in wanted if metric in AGAINST_REAL]
    if against and not real:
        raise ValueError(f"{against[0].value} is measured against real pictures, and there are none")
    found: dict[str, float] = {}
    scale: list[float] = []
    if against:
        parts = Metric.cutout in wanted
        loaded = track(_loaded(real), "looking at real pictures", -(-len(real) // BATCH))
        reals, real_cutouts = _looked_at(features, loaded, parts)
        made = track(_made(generator, count, seed, straight), "looking at the generator's", -(-count // BATCH))
        fakes, made_cutouts = _looked_at(features, made, parts)
        scale = units(reals) if features.scaled else []
        found |= _distances(joined(fakes, scale), joined(reals, scale), wanted, seed, halves)
        if made_cutouts and real_cutouts:
            options = {"scaled": features.scaled, "resamples": resamples, "seed": seed}
            found |= metrics.cutout_distances(made_cutouts, real_cutouts, **options)
    if Metric.ppl in wanted:

        def seen(encoded: Tensor) -> Tensor:
            return joined(features.of(shown(encoded.float().cpu(), straight)), scale)

        steps = _steps(track, "walking paths")
        found["ppl"] = metrics.path_length(generator, seen, count, seed=seed, watch=steps)
    if Metric.eq in wanted:
        steps = _steps(track, "moving pictures")
        found |= metrics.generator_equivariance(generator, count, seed=seed, watch=steps)
    return found


def _distances(made: Tensor, real: Tensor, wanted: Sequence[Metric], seed: int, halves: int) -> dict[str, float]:
    found = {}
    if Metric.frechet in wanted:
        found["frechet"] = metrics.frechet_distance(made, real)
    if Metric.kid in wanted:
        found["kid"] = metrics.kernel_distance_of_blocks(made, real, seed=seed)
    if Metric.pr in wanted:
        found["precision"], found["recall"] = metrics.precision_recall(made, real, NEIGHBOURS)
        found["density"], found["coverage"] = metrics.density_coverage(made, real, COVERAGE_NEIGHBOURS)
    if halves:
        for metric, distance in ((Metric.frechet, metrics.frechet_distance), (Metric.kid, metrics.kernel_distance)):
            if metric in wanted:
                found[f"{metric.value}_error"] = metrics.standard_error(distance, made, real, halves=halves, seed=seed)
    return found


def _looked_at(features: Features, batches: Iterable[Tensor], parts: bool) -> tuple[Blocks, Cutouts | None]:
    """Features of all batches of straight RGBA, and if asked for, those of their parts."""
    rows: list[Cutouts] = []

    def watched() -> Iterator[Tensor]:
        for batch in batches:
            if parts:
                rows.append(one_batch(features, batch))
            yield batch

    return collect(features, watched()), gathered(rows) if rows else None


def _loaded(real: Sequence[Callable[[], Tensor]]) -> Iterator[Tensor]:
    """Straight RGBA (n, 4, R, R) of the real pictures, in batches."""
    for start in range(0, len(real), BATCH):
        batch = torch.stack([read() for read in real[start : start + BATCH]])
        yield shown(2 * batch - 1, straight=True)


def _made(generator: Generator, count: int, seed: int, straight: bool) -> Iterator[Tensor]:
    """Pictures at psi 1, brought to the 8 bits that the real ones have."""
    for start in range(0, count, BATCH):
        seeds = [position_seed(seed, "measure", number) for number in range(start, min(start + BATCH, count))]
        yield (sample(generator, seeds, [1.0] * len(seeds), BATCH, straight=straight) * 255).round() / 255


def _steps(track: Track, doing: str) -> Callable[[range], Iterable[int]]:
    return lambda steps: track(steps, doing, len(steps))
