"""A video file or folder of frames -> a video of alphas, cut-outs or composites; decode, matte and encode overlap.

Segments are finished one by one, so that a run that was killed goes on from the last of them; the result is joined of
them and appears under its name when it is whole.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stylematte.atomic import replace_file
from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import read_alpha
from stylematte.inference.by_trimap import METHODS
from stylematte.inference.matter import FOREGROUNDS, Matter
from stylematte.inference.options import InferenceOptions
from stylematte.picture_endings import PICTURE_ENDINGS
from stylematte.video.band import AUTO, NETWORK
from stylematte.video.compose import Composer, background_of
from stylematte.video.encode import PictureWriter, SegmentEncoder, Writer
from stylematte.video.formats import FOLDER, ending_of, format_of, kind_of
from stylematte.video.job import Job, fingerprint
from stylematte.video.join import Span, join
from stylematte.video.options import VideoOptions
from stylematte.video.overlap import Behind, ahead
from stylematte.video.source import Frame, Source, open_source
from stylematte.video.steady import State, SteadyMatter, grey_of

log = logging.getLogger("stylematte")
SEGMENT = 100
"""Frames of a segment: what a kill costs at most."""
FRAMES = "frames"


class Request(NamedTuple):
    """What is wanted of which video. begin, end: seconds from its start. write: one of KINDS or None, by out's ending.
    masks: a folder with a mask for each of these frames, in the order of their names. fps: of a folder of frames."""

    source: Path
    out: Path
    begin: float = 0.0
    end: float | None = None
    write: str | None = None
    bits: int = 8
    foreground: str = "fast"
    background: str | None = None
    masks: Path | None = None
    fps: float | None = None
    audio: bool = True
    segment: int = SEGMENT
    overwrite: bool = False


class Done(NamedTuple):
    """kind: what was written. resumed: frames that an earlier run had finished. said: lines on audio and damage."""

    out: Path
    kind: str
    frames: int
    resumed: int
    said: list[str]


def matte_video(
    request: Request,
    matter: Matter | None,
    options: VideoOptions | None = None,
    inference: InferenceOptions | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Done:
    """Write `request.out`. matter: None where masks and a method other than "network" do. progress: is called with the
    frames that are done, and how many the source says there are (0: it does not). Raises ConfigError, DataError."""
    options = options or VideoOptions()
    _check(request, options, matter)
    kind = kind_of(request.out, request.write, request.background is not None)
    how = format_of(request.out, kind, request.bits)
    source = open_source(request.source, request.fps)
    behind = None if request.background is None else background_of(request.background)
    composer = Composer(kind, request.bits, request.foreground, behind)
    job = Job(request.out, _asked(request, matter, options, inference))
    said = [line for line in (job.open(),) if line]
    resumed = job.done
    span = _span(request, source)
    _work(request, source, job, composer, SteadyMatter(matter, options, inference, job.state()), how, span, progress)
    if not job.segments:
        job.remove()
        raise DataError(f"{request.source}: has no frame between --from and --to")
    said += _finish(request, source, job, span, kind)
    return Done(request.out, kind, job.done, resumed, said)


def _check(request: Request, options: VideoOptions, matter: Matter | None) -> None:
    options.check()
    if options.method not in (AUTO, NETWORK, *METHODS):
        raise ConfigError(f"--method {options.method}: expected {', '.join((AUTO, NETWORK, *METHODS))}")
    if request.foreground not in FOREGROUNDS:
        raise ConfigError(f"--foreground {request.foreground}: expected {', '.join(FOREGROUNDS)}")
    if request.begin < 0 or (request.end is not None and request.end <= request.begin):
        raise ConfigError(f"--from {request.begin:g} --to {request.end}: expected seconds, the first before the second")
    if matter is None and request.masks is None:
        raise ConfigError("without a matter --masks has to say where the subject is")
    if request.segment < 1:
        raise ConfigError(f"segment {request.segment}: expected at least 1 frame")
    if request.out.exists() and not request.overwrite and (request.out.is_file() or any(request.out.iterdir())):
        raise DataError(f"{request.out}: is there already; name another, or give --overwrite")
    if request.masks is not None and not _masks(request.masks):
        raise DataError(f"{request.masks}: holds no masks; expected a folder with a picture for each frame")


def _asked(request: Request, matter: Matter | None, options: VideoOptions, inference: InferenceOptions | None) -> Any:
    """All that the result depends on."""
    weights = None if matter is None else fingerprint(matter.folder / "matter.safetensors")
    asked = request._replace(overwrite=False)._asdict()
    asked |= {name: None if asked[name] is None else str(asked[name]) for name in ("source", "out", "masks")}
    files = [path for path in (request.source, request.masks, request.background) if path is not None]
    return {
        "request": asked,
        "files": [fingerprint(Path(path)) for path in files],
        "matter": weights,
        "options": options._asdict(),
        "inference": None if inference is None else inference._asdict(),
    }


def _span(request: Request, source: Source) -> Span:
    start = source.about.start
    end = None if request.end is None else start + Fraction(request.end).limit_denominator(1_000_000)
    return Span(start + Fraction(request.begin).limit_denominator(1_000_000), end, whole=request.begin == 0)


def _work(
    request: Request, source: Source, job: Job, composer: Composer, steady: SteadyMatter, how: Any, span: Span,
    progress: Callable[[int, int], None],
) -> None:  # fmt: skip
    """Read, matte and write what is not finished yet."""
    base, total = source.about.time_base, _count(source, span)
    frames = _within(_from(source, job, steady.state, span), span, base)
    masks = None if request.masks is None else iter(_masks(request.masks)[job.done :])
    segments = _Segments(request, source, job, composer, how, span)
    done = job.done
    with closing(ahead(_with_masks(frames, masks, request.masks))) as read, Behind(segments) as written:
        for frame, mask in read:
            alpha = steady(frame.image, mask)
            done += 1
            written.put((frame, alpha, steady.state))
            progress(done, max(total, done))
        written.put(None)


class _Segments:
    """Composes, encodes and finishes segments, in the writing thread."""

    def __init__(self, request: Request, source: Source, job: Job, composer: Composer, how: Any, span: Span) -> None:
        self.request, self.source, self.job, self.composer, self.how = request, source, job, composer, how
        self.begin = span.begin
        self.writer: Writer | None = None
        self.pts: list[int] = []
        self.state = State()

    def __call__(self, item: tuple[Frame, np.ndarray, State] | None) -> None:
        """None: there are no more."""
        if item is not None:
            frame, alpha, self.state = item
            seconds = frame.pts * self.source.about.time_base - self.begin
            self.writer = self.writer or self._new()
            self.writer.write(self.composer(frame.image, alpha, seconds))
            self.pts.append(frame.pts)
        if self.writer is not None and (item is None or len(self.pts) == self.request.segment):
            self.writer.close()
            self.job.finished(self.pts, self.state)
            self.writer, self.pts = None, []

    def _new(self) -> Writer:
        if self.how is None:
            return PictureWriter(self.job.folder / FRAMES, self.job.done)
        path = self.job.path(len(self.job.segments), ending_of(self.request.out))
        return SegmentEncoder(path, self.how, self.source.about)


def _count(source: Source, span: Span) -> int:
    """Frames to be expected; 0 where the source does not say."""
    about = source.about
    if not about.count:
        return 0
    length = about.count / about.rate
    end = length if span.end is None else min(length, span.end - about.start)
    return max(1, round((end - (span.begin - about.start)) * about.rate))


def _from(source: Source, job: Job, state: State, span: Span) -> Iterator[Frame]:
    """The frames after the last finished one. It is looked for by its time and known by its greys: containers that
    cannot be searched, and timestamps that had to be mended, are read from the begin."""
    if not job.segments:
        yield from (
            source.seek(round(span.begin / source.about.time_base))
            if span.begin > source.about.start
            else (source.frames())
        )
        return
    last = job.segments[-1][-1]
    for start in (partial(source.seek, last), source.frames):
        frames = start()
        for frame in frames:
            if frame.pts > last:
                break
            if frame.pts == last and state.grey is not None and np.array_equal(grey_of(frame.image), state.grey):
                yield from frames
                return
    raise DataError(f"{source.path}: does not hold the frame that was matted last: remove {job.folder}")


def _within(frames: Iterator[Frame], span: Span, base: Fraction) -> Iterator[Frame]:
    for frame in frames:
        seconds = frame.pts * base
        if span.end is not None and seconds >= span.end:
            return
        if seconds >= span.begin:
            yield frame


def _masks(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)


def _with_masks(
    frames: Iterator[Frame], masks: Iterator[Path] | None, folder: Path | None
) -> Iterator[tuple[Frame, np.ndarray | None]]:
    for frame in frames:
        if masks is None:
            yield frame, None
            continue
        path = next(masks, None)
        if path is None:
            raise DataError(f"{folder}: has fewer masks than there are frames")
        yield frame, read_alpha(path)[0].numpy()


def _finish(request: Request, source: Source, job: Job, span: Span, kind: str) -> list[str]:
    """The result under its name. Lines on what could not be kept."""
    about, said = source.about, []
    damaged = getattr(source, "damaged", 0)
    if damaged:
        said.append(f"{damaged} damaged packets of {request.source} could not be decoded and are left out")
    ending = ending_of(request.out)
    if ending == FOLDER:
        return said + _finish_folder(request, about.time_base, job, span)
    last = max(1, round(1 / (about.rate * about.time_base)))
    whole = job.folder / f"whole{ending}"
    audio = request.source if request.audio and request.source.is_file() else None
    line = join(job.paths(ending), job.segments, about.time_base, last, span, audio, whole)
    os.replace(whole, request.out)
    job.remove()
    return said + ([line] if line else [])


def _finish_folder(request: Request, base: Fraction, job: Job, span: Span) -> list[str]:
    times = (f"{float(pts * base - span.begin) * 1000:.3f}" for pts in job.pts)
    folder = job.folder / FRAMES
    replace_file(folder / "timestamps.txt", "\n".join(chain(["# timestamp format v2"], times)) + "\n")
    if request.out.is_dir():
        for file in folder.iterdir():
            os.replace(file, request.out / file.name)
    else:
        os.replace(folder, request.out)
    job.remove()
    return ["a folder of frames holds no audio"] if request.audio and request.source.is_file() else []
