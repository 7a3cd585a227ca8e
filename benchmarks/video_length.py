"""Memory over time of `stylematte video` on a clip of minutes, killed halfway and resumed; what the result holds then.

    python -m benchmarks.video_length RUN --minutes 5 --fps 5

Draws a portrait that moves, 1280 x 720 with a tone, mattes it in a process of its own, kills that (SIGKILL) when half
of the frames are done, types the same command again, and compares frames, timestamps and audio packets with the source.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from stylematte.data.drawn.dataset import draw

EVERY = 2.0
"""Seconds between two looks at the memory."""


def write_source(path: Path, seconds: int, fps: int, size: tuple[int, int]) -> None:
    """A drawn portrait that sways before a moving wall, H.264 with AAC."""
    height, width = size
    drawn = draw("portrait", 5001, 256)
    front = torch.cat([drawn.foreground * drawn.alpha, drawn.alpha]).permute(1, 2, 0).numpy()
    wall = cv2.resize(drawn.background.permute(1, 2, 0).numpy(), (width + 200, height))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.options = {"preset": "ultrafast", "crf": "20", "g": "50"}
        sound, heard = container.add_stream("aac", rate=48000, layout="mono"), 0
        for index in range(seconds * fps):
            container.mux(video.encode(_frame(front, wall, index / fps, size, index, fps)))
            while heard < (index + 1) * 48000 / fps:
                wave = 0.2 * np.sin(2 * np.pi * 440 * (heard + np.arange(1024)) / 48000)
                frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, heard, Fraction(1, 48000)
                container.mux(sound.encode(frame))
                heard += 1024
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def _frame(front, wall, seconds: float, size: tuple[int, int], index: int, fps: int) -> av.VideoFrame:
    height, width = size
    matrix = cv2.getRotationMatrix2D((128, 128), 6 * np.sin(seconds), height / 256 * 0.9)
    matrix[:, 2] += width / 2 - 128 + width * 0.1 * np.sin(0.7 * seconds), height * 0.55 - 128
    placed = cv2.warpAffine(front, matrix, (width, height))
    left = int(100 + 90 * np.sin(0.3 * seconds))
    picture = placed[..., :3] + (1 - placed[..., 3:]) * wall[:, left : left + width]
    frame = av.VideoFrame.from_ndarray((picture.clip(0, 1) * 255).astype(np.uint8), format="rgb24")
    frame.pts, frame.time_base = index, Fraction(1, fps)
    return frame


def watched(command: list[str], partial: Path, stop_at: int | None, curve: list[list[float]], begin: float) -> int:
    """Run it and note [seconds, MiB resident, frames done]; SIGKILL when `stop_at` frames are done. Its exit code."""
    process = subprocess.Popen(command)
    while process.poll() is None:
        time.sleep(EVERY)
        done = sum(len(json.loads(record.read_text())["pts"]) for record in partial.glob("[0-9]*.json"))
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        resident = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")]
        if resident:
            curve.append([round(time.monotonic() - begin, 1), round(resident[0], 1), done])
        if stop_at is not None and done >= stop_at:
            os.kill(process.pid, signal.SIGKILL)
    return process.wait()


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return sorted(p.pts * p.time_base for p in container.demux(container.streams.video[0]) if p.pts is not None)


def sounds(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matter", type=Path, help="a run, an export or a matter folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("video-length"))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--method", default="network")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source, result = args.out / "source.mp4", args.out / "alpha.mp4"
    count = round(args.minutes * 60) * args.fps
    if not source.exists():
        write_source(source, round(args.minutes * 60), args.fps, (args.height, args.height * 16 // 9))
    command = [sys.executable, "-m", "loop.cli.main", "video", str(source), "-o", str(result)]
    command += ["--matter", str(args.matter), "--method", args.method, "--overwrite"]
    curve: list[list[float]] = []
    partial, begin = result.with_name(f".{result.name}.partial"), time.monotonic()
    killed = watched(command, partial, count // 2, curve, begin)
    ended = watched(command, partial, None, curve, begin)
    figures = {
        "exit_codes": [killed, ended],
        "frames": count,
        "seconds": round(time.monotonic() - begin),
        "curve": curve,
    }
    if ended == 0:
        same = [abs(a - b) for a, b in zip(times(source), times(result), strict=True)]
        audio = list(zip(sounds(source), sounds(result), strict=True))
        figures |= {
            "largest_difference_of_timestamps_s": float(max(same)),
            "audio_packets": len(audio),
            "audio_packets_that_differ": sum(a[1] != b[1] for a, b in audio),
            "largest_difference_of_audio_s": float(max(abs(a[0] - b[0]) for a, b in audio)),
        }
    (args.out / "figures.json").write_text(json.dumps(figures))
    print(json.dumps({name: value for name, value in figures.items() if name != "curve"}, indent=2))


if __name__ == "__main__":
    main()
