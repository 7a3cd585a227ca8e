"""A video as a whole: what is written, timestamps and audio, resuming, what is refused. Masks in place of a network."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import to_uint8, write_rgb
from stylematte.video.options import VideoOptions
from stylematte.video.run import Request, matte_video
from stylematte.video.source import open_source
from tests.stylematte.video.tiny_clips import (
    HEIGHT,
    WIDTH,
    alpha_of,
    alphas_in,
    audio_of,
    picture_of,
    times_of,
    write_audio,
    write_clip,
    write_masks,
)  # fmt: skip

SOLVED = VideoOptions(method="closed-form", side=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("video")
    write_masks(place / "masks")
    write_clip(place / "in.mp4", audio="aac")
    return place


def run(folder: Path, name: str, source: str = "in.mp4", **asked):
    request = Request(folder / source, folder / name, masks=folder / "masks", **({"foreground": "none"} | asked))
    return matte_video(request, None, SOLVED)


@pytest.mark.parametrize(
    ("name", "asked", "error"),
    [
        ("a.mkv", {}, 0.5 / 255),
        ("a16.mkv", {"bits": 16}, 1e-5),
        ("a.mp4", {}, 0.5 / 255),
        ("a", {"write": "alpha"}, 0.5 / 255),
        ("c.mkv", {"write": "cutout"}, 0.5 / 255),
        ("c.mov", {}, 1 / 255),
        ("c16.mov", {"bits": 16}, 0.0013),
        ("c.webm", {}, 0.08),
        ("c", {}, 0.5 / 255),
    ],
)
def test_alpha_comes_back_from_each_format(folder, tmp_path, name, asked, error):
    """The largest difference between the alphas of the pipeline and those that are read again; docs/video.md."""
    request = Request(folder / "in.mp4", tmp_path / name, masks=folder / "masks", foreground="none", **asked)
    if "." not in name:
        (tmp_path / name).mkdir()
    done = matte_video(request, None, SOLVED)
    exact = exact_alphas(folder)
    found = alphas_in(tmp_path / name)
    assert (done.frames, found.shape) == (10, exact.shape)
    assert np.abs(found - exact).max() <= error + 1e-7
    assert np.abs(exact - np.stack([alpha_of(i) for i in range(10)])).mean() < 0.02


_EXACT: dict[Path, np.ndarray] = {}


def exact_alphas(folder: Path) -> np.ndarray:
    """float32, before anything is encoded."""
    from stylematte.imagefile import read_alpha
    from stylematte.video.steady import SteadyMatter

    if folder not in _EXACT:
        steady = SteadyMatter(None, SOLVED)
        frames = open_source(folder / "in.mp4").frames()
        masks = [read_alpha(file)[0].numpy() for file in sorted((folder / "masks").iterdir())]
        _EXACT[folder] = np.stack([steady(frame.image, mask) for frame, mask in zip(frames, masks, strict=True)])
    return _EXACT[folder]


def test_timestamps_and_audio_are_kept(folder, tmp_path):
    pts = [0, 7, 9, 20, 33, 34, 50, 61, 90, 91]
    write_clip(folder / "vfr.mp4", pts=pts, base=Fraction(1, 100), audio="aac")
    for name in ("v.mp4", "v.mov", "v.mkv"):
        assert run(folder, name, "vfr.mp4", segment=4).said == []
        tick = 0.001 if name == "v.mkv" else 1e-9
        assert times_of(folder / name) == pytest.approx([p / 100 for p in pts], abs=tick)
        source, found = audio_of(folder / "vfr.mp4"), audio_of(folder / name)
        source = [(t, data) for t, data in source if t >= 0 or name != "v.mkv"]  # AAC's first packet is not heard
        assert [data for _, data in found] == [data for _, data in source]
        assert [float(t) for t, _ in found] == pytest.approx([float(t) for t, _ in source], abs=0.001)
    assert run(folder, "v.webm", "vfr.mp4").said == ["audio was left out: a .webm file takes no aac"]
    assert times_of(folder / "v.webm") == pytest.approx([p / 100 for p in pts], abs=0.001)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(folder, tmp_path):
    whole = run(folder, "whole.mkv", segment=3)
    request = Request(folder / "in.mp4", folder / "broken.mkv", masks=folder / "masks", foreground="none", segment=3)

    def killed(done: int, total: int) -> None:
        assert total == 10
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        matte_video(request, None, SOLVED, progress=killed)
    assert not (folder / "broken.mkv").exists()
    done = matte_video(request, None, SOLVED)
    assert (whole.resumed, done.resumed, done.frames) in {(0, 6, 10), (0, 3, 10)}
    assert np.array_equal(alphas_in(folder / "broken.mkv"), alphas_in(folder / "whole.mkv"))
    assert times_of(folder / "broken.mkv") == times_of(folder / "in.mp4")
    assert audio_of(folder / "broken.mkv") == audio_of(folder / "whole.mkv")
    assert not list(folder.glob(".*.partial"))


def test_from_to_rotation_odd_sides_and_depth(folder, tmp_path):
    run(folder, "part.mkv", begin=0.08, end=0.2)
    assert times_of(folder / "part.mkv") == pytest.approx([0, 0.04, 0.08], abs=0.001)
    size = (HEIGHT, WIDTH)
    write_clip(folder / "turned.mp4", 2, rotation=90)
    source = open_source(folder / "turned.mp4")
    upright = next(source.frames()).image
    assert source.about.size == upright.shape[:2] == size[::-1]
    expected = np.rot90(picture_of(0)).astype(float)
    assert np.abs(upright - expected).mean() < 6
    write_clip(folder / "odd.mkv", 2, size=(47, 63), codec="ffv1", pixels="bgr0")
    run(folder, "odd.mp4", "odd.mkv", background="red")
    assert next(open_source(folder / "odd.mp4").frames()).image.shape == (47, 63, 3)
    write_clip(folder / "deep.mkv", 2, codec="ffv1", pixels="yuv444p10le")
    deep = next(open_source(folder / "deep.mkv").frames()).image
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - picture_of(0)).max() < 2
    assert run(folder, "deep.mov", "deep.mkv").frames == 2
    write_clip(folder / "one.mp4", 1)
    assert run(folder, "one.mkv", "one.mp4").frames == 1


def test_composites(folder):
    write_rgb(folder / "beach.png", np_tensor(picture_of(3)))
    write_clip(folder / "behind.mp4", 3)
    for name, background in (("r.mp4", "red"), ("p.webm", "beach.png"), ("b.mkv", "behind.mp4")):
        asked = background if background == "red" else str(folder / background)
        assert run(folder, name, background=asked).kind == "composite"
        first = next(open_source(folder / name).frames()).image
        corner = [255, 0, 0] if background == "red" else picture_of(0)[-1, -1]
        assert np.abs(first[-1, -1].astype(float) - corner).max() < 12


def np_tensor(picture):
    from stylematte.imagefile import from_uint8

    return from_uint8(picture)


def test_frame_folders(folder, tmp_path):
    for index in range(3):
        write_rgb(folder / f"frames/{index:03d}.png", np_tensor(picture_of(index)))
    request = Request(folder / "frames", folder / "cut", masks=folder / "masks", foreground="none", fps=10)
    (folder / "cut").mkdir()
    assert matte_video(request, None, SOLVED).said == []
    assert (folder / "cut/timestamps.txt").read_text().split("\n")[1:4] == ["0.000", "100.000", "200.000"]
    assert to_uint8(np_tensor(picture_of(0))).shape == (HEIGHT, WIDTH, 3)
    assert len(list((folder / "cut").glob("frame_*.png"))) == 3


def test_what_cannot_be_used(folder, monkeypatch):
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "junk.mp4").write_bytes(b"no video at all" * 99)
    write_audio(folder / "sound.m4a")
    data = (folder / "in.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    for name, said in (
        ("none.mp4", "no such file"),
        ("empty.mp4", "is empty"),
        ("junk.mp4", "cannot be read"),
        ("sound.m4a", "has no video stream (only audio)"),
        ("cut.mp4", "cannot be read"),
    ):
        with pytest.raises(DataError, match=name) as error:
            run(folder, "out.mkv", name)
        assert said in str(error.value)
        assert "\n" not in str(error.value)
    monkeypatch.setattr("stylematte.video.source.MOST", HEIGHT * WIDTH - 1)
    with pytest.raises(DataError, match="frames of 64 x 48, at most 3071 pixels"):
        run(folder, "out.mkv")
    monkeypatch.undo()
    with pytest.raises(DataError, match="is there already"):
        run(folder, "in.mp4")
    with pytest.raises(ConfigError, match="alpha cannot be written as"):
        run(folder, "out.avi")
    with pytest.raises(ConfigError, match="--from 2"):
        run(folder, "out.mkv", begin=2.0, end=1.0)
    with pytest.raises(DataError, match="no frame between"):
        run(folder, "out.mkv", begin=50.0)
    with pytest.raises(ConfigError, match="holds 8 for alpha"):
        run(folder, "out.mp4", bits=16)


def test_damage_in_the_middle_is_passed_over(folder):
    write_clip(folder / "whole.ts", 10)
    data = bytearray((folder / "whole.ts").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    (folder / "hurt.ts").write_bytes(data)
    assert 5 <= run(folder, "hurt.mkv", "hurt.ts").frames <= 10
