"""Made clips: known motion gives the known alpha, colour and alpha obey the compositing equation, clips resume."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stylematte.errors import ConfigError, DataError
from stylematte.imagefile import read_alpha, read_rgb, write_rgba
from stylematte.video.clips import ClipOptions, parse_size
from stylematte.video.make_clips import Sources, make_clips, planned
from stylematte.video.motion import Motion, Wave, draw_motion
from stylematte.video.shot import Shot

RNG = np.random.default_rng
STILL = draw_motion(RNG(0), strength=0, light=0)
AT_ONCE = 0.25
"""The phase at which a wave has its amplitude at time 0."""
SIZE = 40


def box(left: int = 12, right: int = 28, top: int = 10, bottom: int = 40) -> np.ndarray:
    """A red cut-out, (80, 80, 4) premultiplied, twice as fine as a frame of SIZE."""
    cutout = np.zeros((2 * SIZE, 2 * SIZE, 4), np.float32)
    cutout[2 * top : 2 * bottom, 2 * left : 2 * right] = [1, 0, 0, 1]
    return cutout


def shot(motion: Motion = STILL, cutout: np.ndarray | None = None) -> Shot:
    blue = np.zeros((2 * SIZE, 2 * SIZE, 3), np.float32)
    blue[..., 2] = 1
    return Shot(box() if cutout is None else cutout, blue, motion, (SIZE, SIZE), 1.0)


def test_a_still_is_the_cutout_over_the_background() -> None:
    image, alpha = shot().frame(0.3)
    expected = np.zeros((SIZE, SIZE))
    expected[10:, 12:28] = 1
    np.testing.assert_allclose(alpha, expected, atol=1e-6)
    np.testing.assert_allclose(image, np.stack([expected, 0 * expected, 1 - expected], 2), atol=1e-6)


def test_a_shift_of_whole_pixels_shifts_alpha() -> None:
    moved = replace(STILL, x=Wave(5 / SIZE, 1e9, AT_ONCE), y=Wave(-3 / SIZE, 1e9, AT_ONCE))
    alpha = shot(moved).frame(0).alpha
    expected = np.zeros((SIZE, SIZE))
    expected[7:, 17:33] = 1
    np.testing.assert_allclose(alpha, expected, atol=1e-5)


def test_growth_and_turn_about_the_middle_of_the_lower_edge() -> None:
    larger = shot(replace(STILL, growth=Wave(np.log(1.5), 1e9, AT_ONCE))).frame(0).alpha
    assert larger.sum() == pytest.approx(min(1.5 * 30, 40) * 24, rel=1e-3)  # the box of 16 x 30 is cut at the top
    turned = shot(replace(STILL, angle=Wave(0.2, 1e9, AT_ONCE))).frame(0).alpha
    assert turned[30:, 20].min() == 1  # where it stands nothing moves
    columns = np.arange(SIZE)
    drift = [float((row * columns).sum() / row.sum()) for row in (turned[14], turned[24])]
    assert abs(drift[0] - drift[1]) == pytest.approx(10 * np.tan(0.2), rel=0.1)


def test_sway_moves_the_top_and_not_the_foot() -> None:
    alpha = shot(replace(STILL, sway=Wave(4 / SIZE, 1e9, AT_ONCE), sway_reach=0.4)).frame(0).alpha
    assert np.flatnonzero(alpha[10] > 0.5)[0] == 16
    assert np.flatnonzero(alpha[35] > 0.5)[0] == 12


def test_motion_blur_is_the_share_of_the_exposure() -> None:
    speed = 8 / SIZE  # 8 pixels a second: at phase 0 a wave of this amplitude and period 2 pi is linear for a while
    moving = replace(STILL, x=Wave(100 * speed, 200 * np.pi, 0))
    image, alpha = shot(moving).frame(0, opening=1.0, subframes=64)
    ramp = np.clip((np.arange(SIZE) + 0.5 - 8) / 8, 0, 1)  # the left edge passes 8 ... 16 while the shutter is open
    np.testing.assert_allclose(alpha[20, :20], ramp[:20], atol=0.02)
    np.testing.assert_allclose(image[..., 0], alpha, atol=1e-5)  # red over blue: the equation holds under blur, too
    np.testing.assert_allclose(image[..., 2], 1 - alpha, atol=1e-5)


def test_light_changes_colours_and_no_alpha() -> None:
    lit = replace(STILL, light=Wave(np.log(0.5), 1e9, AT_ONCE), ambience=Wave(np.log(0.25), 1e9, AT_ONCE))
    image, alpha = shot(lit).frame(0)
    np.testing.assert_allclose(image[..., 0], 0.5 * alpha, atol=1e-5)
    np.testing.assert_allclose(image[..., 2], 0.25 * (1 - alpha), atol=1e-5)


def test_a_subject_cut_by_the_side_covers_a_wide_frame() -> None:
    wide = Shot(box(0, 40), np.zeros((8, 8, 3), np.float32), STILL, (SIZE, 2 * SIZE), 1.0)
    assert wide.frame(0).alpha[30].min() == 1
    assert wide.frame(0).image.max() <= 1


def test_beyond_its_frame_a_body_goes_on_and_a_hair_ends() -> None:
    hairy = box(10, 30, 0, 40)
    hairy[:20] = 0
    hairy[:20, 40:42] = [1, 0, 0, 1]  # one pixel wide, up to the upper border
    alpha = shot(replace(STILL, growth=Wave(-np.log(2), 1e9, AT_ONCE)), hairy).frame(0).alpha
    assert alpha[:19].max() == 0  # half as large: the cut-out's upper border is in the middle
    assert alpha[21, 20] > 0.2
    raised = shot(replace(STILL, y=Wave(-10 / SIZE, 1e9, AT_ONCE)), hairy).frame(0).alpha
    assert raised[35, 12:28].min() == 1  # below the lower border


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cutouts")
    for name, colour in (("one", 0.9), ("two", 0.4)):
        cutout = torch.zeros(4, 32, 32)
        cutout[:3], cutout[3, 6:, 8:24] = colour, 1
        write_rgba(root / f"{name}.png", cutout)
    return root


OPTIONS = ClipOptions(frames=4, size=(32, 32), cuts=1, subframes=2)


def test_clips_resume_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    sources = Sources([str(folder)])
    made = make_clips(sources, tmp_path / "whole", OPTIONS)
    assert (len(made.clips), made.written) == (2, 8)
    make_clips(sources, tmp_path / "part", OPTIONS)
    files = sorted(file.relative_to(tmp_path / "part") for file in (tmp_path / "part").rglob("*.*"))
    for file in files[::3]:
        if file.suffix == ".png":
            (tmp_path / "part" / file).unlink()
    again = make_clips(sources, tmp_path / "part", OPTIONS)
    assert 0 < again.written < 8
    assert again.written + again.existing == 8
    assert len(files) == 2 * 8 + 3
    for file in files:
        assert (tmp_path / "part" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    rows = [json.loads(line) for line in (tmp_path / "whole/clips.jsonl").read_text().splitlines()]
    assert [row["clip"] for row in rows] == made.clips
    assert [[Path(shot["cutout"]).stem for shot in row["shots"]] for row in rows] == [["one", "two"], ["two", "one"]]
    assert [shot["first_frame"] for shot in rows[0]["shots"]] == [0, 2]
    assert set(rows[0]["shots"][0]["motion"]) == {item.name for item in fields(Motion)}
    assert made.clips[0] in (tmp_path / "whole/README.md").read_text()
    with pytest.raises(DataError, match=r"made with other settings \(noise\)"):
        make_clips(sources, tmp_path / "whole", replace(OPTIONS, noise=0.1))


def test_what_is_written_is_what_was_rendered(folder: Path, tmp_path: Path) -> None:
    clip = planned(Sources([str(folder)], 1), OPTIONS)[0]
    make_clips(Sources([str(folder)], 1), tmp_path, OPTIONS)
    image, alpha = clip.frame(3)  # alone, without those before it
    found = tmp_path / clip.name
    assert (read_rgb(found / "image/000003.png").permute(1, 2, 0).numpy() - image).max() < 1 / 255
    assert np.abs(read_alpha(found / "alpha/000003.png")[0].numpy() - alpha).max() < 1 / 255


def test_drawn_clips_without_motion_and_noise_stand_still() -> None:
    options = ClipOptions(frames=3, size=(24, 24), motion=0, light=0, noise=0)
    for clip in planned(Sources(["portrait", "animal"], 1), options):
        first, last = clip.frame(0), clip.frame(2)
        np.testing.assert_allclose(first.image, last.image, atol=1e-6)
        assert 0.2 < first.alpha.mean() < 0.9
    moving = planned(Sources(["animal"], 1), replace(options, motion=1))[0]
    assert np.abs(moving.frame(0).alpha - moving.frame(2).alpha).max() > 0.1


def test_what_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="frames=0: expected"):
        make_clips(Sources(["animal"]), tmp_path / "a", replace(OPTIONS, frames=0))
    with pytest.raises(ConfigError, match="expected fewer than the 4 frames"):
        make_clips(Sources(["animal"]), tmp_path / "a", replace(OPTIONS, cuts=4))
    with pytest.raises(ConfigError, match="640x360"):
        parse_size("big")
    with pytest.raises(DataError, match=r"no such folder; expected one, or a subject to draw"):
        planned(Sources(["dragon"]), OPTIONS)
    write_rgba(tmp_path / "opaque/a.png", torch.ones(4, 32, 32))
    with pytest.raises(DataError, match="is opaque throughout"):
        make_clips(Sources([str(tmp_path / "opaque")]), tmp_path / "b", OPTIONS)
    with pytest.raises(DataError, match="two clips would be called"):
        planned(Sources([str(folder), str(folder)]), OPTIONS)
