"""Segments -> one file: their packets with the source's timestamps, and the source's audio packets, as they are."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from stylematte.errors import DataError
from stylematte.video.source import opened, pyav


class Span(NamedTuple):
    """Of the source's clock, in seconds: what is 0 in the output, and where it ends (None: the source's end). whole:
    begin is the source's own."""

    begin: Fraction
    end: Fraction | None
    whole: bool


def join(
    segments: list[Path],
    timestamps: list[list[int]],
    base: Fraction,
    last: int,
    span: Span,
    source: Path | None,
    out: Path,
) -> str | None:
    """Write `out`. timestamps: of each segment's frames, in units of `base`, on the source's clock; last: duration of
    the last frame. source: whose audio goes along. A line about audio that could not, or None. Raises DataError.
    """
    av = pyav()
    said = None
    with ExitStack() as stack:
        result = stack.enter_context(av.open(str(out), "w"))
        template = stack.enter_context(av.open(str(segments[0]))).streams.video[0]
        video = result.add_stream_from_template(template)
        video.time_base = base
        tracks = [_video(segments, timestamps, base, last, span, video)]
        if source is not None and source.is_file():
            sounding = stack.enter_context(opened(source))
            said = _add_audio(result, sounding, span, tracks)
        for _, _, packet in heapq.merge(*tracks, key=lambda entry: entry[:2]):
            result.mux(packet)
    return said


def _video(
    segments: list[Path], timestamps: list[list[int]], base: Fraction, last: int, span: Span, stream: Any
) -> Iterator[tuple[Fraction, int, Any]]:
    """Every packet, with the time it is written at. Segments have no frames that are shown in another order."""
    offset = round(span.begin / base)
    every = [pts for segment in timestamps for pts in segment]
    lengths = [after - pts for pts, after in pairwise(every)] + [last]
    number = 0
    for path, expected in zip(segments, timestamps, strict=True):
        found = 0
        with opened(path) as container:
            for packet in container.demux(video=0):
                if not packet.size:
                    continue
                pts = every[number] - offset
                packet.time_base, packet.pts, packet.dts, packet.duration = base, pts, pts, lengths[number]
                packet.stream = stream
                number, found = number + 1, found + 1
                yield pts * base, 0, packet
        if found != len(expected):
            raise DataError(f"{path}: holds {found} frames of {len(expected)}: remove {path.parent} and begin anew")


def _add_audio(result: Any, source: Any, span: Span, tracks: list[Iterator[Any]]) -> str | None:
    able, refused = [], []
    for stream in source.streams.audio:
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if not _takes(result, name):
            refused.append(name)
            continue
        able.append((stream, result.add_stream_from_template(stream)))
    if able:
        tracks.append(_audio(source, able, span, result.format.name))
    if refused:
        return f"audio was left out: a .{result.format.name.split(',')[0]} file takes no {', '.join(refused)}"
    return None


def _takes(result: Any, codec: str) -> bool:
    names = {codec, pyav().Codec(codec, "r").canonical_name}
    if result.format.name == "webm":
        return bool(names & {"opus", "vorbis"})
    return bool(names & set(result.supported_codecs))


def _audio(source: Any, streams: list[Any], span: Span, names: str) -> Iterator[tuple[Fraction, int, Any]]:
    into = {stream.index: new for stream, new in streams}
    # an encoder's first packet may lie before 0, to be decoded and not heard; Matroska would move all tracks for it
    every = span.whole and "matroska" not in names and "webm" not in names
    if span.begin > 0:
        source.seek(int(span.begin * 1_000_000))
    for packet in source.demux([stream for stream, _ in streams]):
        if packet.dts is None or packet.pts is None:
            continue
        base = packet.time_base
        begins = packet.pts * base
        if begins < span.begin and not every:
            continue
        if span.end is not None and begins >= span.end:
            return
        offset = round(span.begin / base)
        packet.pts -= offset
        packet.dts -= offset
        packet.stream = into[packet.stream.index]
        yield packet.dts * base, 1, packet
