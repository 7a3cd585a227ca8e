"""What is carried from frame to frame: less flicker of noisy masks, nothing over a cut; streaming; threads that end."""

import threading

import numpy as np
import pytest

from stylematte.errors import ConfigError
from stylematte.video import VideoOptions, matte_frames
from stylematte.video.flow import motion
from stylematte.video.overlap import Behind, ahead
from stylematte.video.steady import SteadyMatter, grey_of
from stylematte.video.trimaps import trimap_of
from tests.stylematte.video.tiny_clips import alpha_of, picture_of

SOLVED = VideoOptions(method="closed-form", side=64)


def noisy_masks(count: int) -> list[np.ndarray]:
    """Masks of which a tenth of the pixels is on the wrong side, others in each frame."""
    rng, fronts = np.random.default_rng(0), [alpha_of(index) > 0.5 for index in range(count)]
    return [(front ^ (rng.random(front.shape) < 0.1)).astype(np.float32) for front in fronts]


def test_masks_that_flicker_are_steadied():
    """A tenth of each mask is wrong; of the steadied one hardly any pixel is on the wrong side."""
    wrong = []
    for options in (SOLVED, SOLVED._replace(mask_memory=0.0)):
        steady = SteadyMatter(None, options)
        for index, mask in enumerate(noisy_masks(8)):
            steady(picture_of(index), mask)
        wrong.append(((steady.state.mask > 0.5) != (alpha_of(7) > 0.5)).mean())
    assert wrong[1] == pytest.approx(0.1, abs=0.02)
    assert wrong[0] < 0.04


def test_the_flow_is_that_of_the_picture_and_a_cut_forgets():
    greys = [grey_of(picture_of(i)) for i in (0, 1)]
    moved = motion(*greys)
    assert not moved.cut
    inside = alpha_of(1) == 1
    assert np.median(moved.backward[inside][:, 0]) == pytest.approx(-1.5, abs=0.3)
    other = 255 - picture_of(5)[::-1]
    assert motion(greys[0], grey_of(other)).cut
    steady, fresh = SteadyMatter(None, SOLVED), SteadyMatter(None, SOLVED)
    mask = alpha_of(5)[::-1].copy()
    steady(picture_of(0), alpha_of(0))
    assert np.array_equal(steady(other, mask), fresh(other, mask))


def test_trimaps_widen_where_it_moves():
    mask = (alpha_of(0) > 0.5).astype(np.float32)
    still = trimap_of(mask, None, 0.1, 0.1, 0.5)
    moving = trimap_of(mask, np.full(mask.shape, 6, np.float32), 0.1, 0.1, 0.5)
    assert set(np.unique(still)) == {0, 0.5, 1}
    assert ((moving == 0.5) | (still != 0.5)).all()
    row = mask.shape[0] // 2
    widths = [int((trimap[row] == 0.5).sum()) for trimap in (still, moving)]
    assert widths[1] - widths[0] == pytest.approx(4 * 3, abs=4)  # 3 pixels on each side of 2 edges


def test_frames_are_read_one_by_one():
    read = []

    def frames():
        for index in range(99):
            read.append(index)
            yield picture_of(index)

    alphas = matte_frames(frames(), None, SOLVED, masks=(alpha_of(i) for i in range(99)))
    assert next(alphas).shape == (1, 48, 64)
    assert read == [0]
    with pytest.raises(ConfigError, match="needs a matter"):
        next(matte_frames(frames(), None, SOLVED._replace(method="network")))


def test_threads_pass_errors_on_and_end():
    def broken():
        yield 1
        raise ConfigError("broken")

    read = ahead(broken())
    assert next(read) == 1
    with pytest.raises(ConfigError, match="broken"):
        next(read)
    endless = ahead(iter(int, 1), depth=1)
    assert next(endless) == 0
    endless.close()
    seen: list[int] = []
    with pytest.raises(ZeroDivisionError), Behind(lambda item: seen.append(1 // item)) as behind:  # noqa: PT012
        for item in (1, 1, 0, 1):
            behind.put(item)
    assert seen == [1, 1]
    assert not [thread for thread in threading.enumerate() if thread.name in ("ahead", "behind")]
