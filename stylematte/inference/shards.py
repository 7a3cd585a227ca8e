"""Many photos on several devices: each has a process of its own, with every n-th photo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from stylematte.inference.known import Known
from stylematte.inference.matte import Mattes, Outputs, write_mattes
from stylematte.inference.matter import load
from stylematte.inference.options import AskedOptions
from stylematte.inference.photos import NamedPhoto
from stylematte.workers import spread


class Job(NamedTuple):
    """A matter's folder, and all that `write_mattes` takes."""

    folder: Path
    asked: AskedOptions
    precision: str
    out: Path
    known: Known | None
    method: str
    batch: int
    outputs: Outputs


class Share(NamedTuple):
    job: Job
    device: str
    photos: list[NamedPhoto]


def write_share(share: Share, track: Callable[[Iterable[Any]], Iterable[Any]] = iter) -> Mattes:
    """The photos of one device, in this process. Raises what `load` and `write_mattes` do."""
    job = share.job
    matter = load(job.folder, share.device, job.precision)
    return write_mattes(
        matter,
        share.photos,
        job.out,
        options=matter.asked(job.asked),
        known=job.known,
        method=job.method,
        batch=job.batch,
        outputs=job.outputs,
        track=track,
    )


def write_sharded(
    job: Job,
    photos: Sequence[NamedPhoto],
    devices: Sequence[torch.device],
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Mattes:
    """As `write_mattes`, on each of `devices` at once; on one, in this process. track: of the photos, or of shares."""
    shares = [Share(job, str(device), list(photos[i :: len(devices)])) for i, device in enumerate(devices)]
    shares = [share for share in shares if share.photos]
    if len(shares) == 1:
        return write_share(shares[0], track)
    total = Mattes([], [], [], job.method)
    for _, mattes in track(spread(write_share, shares, len(shares))):
        for into, part in zip(total[:3], mattes[:3], strict=True):
            into.extend(part)
        total = total._replace(method=mattes.method)
    return total._replace(written=sorted(total.written), left_out=sorted(total.left_out))
