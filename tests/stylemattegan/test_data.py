"""Framing of cut-outs and the batches a fit sees."""

import pytest
import torch

from stylematte.imagefile import write_rgba
from stylematte.rgba import premultiply_about_grey
from stylemattegan.framing import frame_cutout, subject_window
from stylemattegan.training.cutouts import CutoutData


def cutout(height, width, top, bottom, left, right, colour=(0.2, 0.4, 0.8)):
    """An opaque box; bright magenta hides under alpha 0."""
    rgba = torch.zeros(4, height, width)
    rgba[0], rgba[2] = 1, 1
    rgba[:3, top:bottom, left:right] = torch.tensor(colour)[:, None, None]
    rgba[3, top:bottom, left:right] = 1
    return rgba


def box(framed):
    """(top, bottom, left, right) of alpha > 1/2."""
    seen = framed[3] > 0.5
    rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_free_subject_is_centred_with_a_margin():
    rgba = cutout(200, 150, 20, 120, 60, 110)  # 100 high: a window of 116 around the centre (70, 85)
    assert subject_window(rgba[3:]) == (27, 12, 116)
    top, bottom, left, right = box(frame_cutout(rgba, 58))
    assert (top, 58 - bottom) == (4, 4)
    assert abs(left - (58 - right)) <= 1


def test_bust_stays_on_the_bottom_edge():
    rgba = cutout(100, 100, 40, 100, 10, 60)
    _left, top, side = subject_window(rgba[3:])
    assert (top + side, side) == (100, 65)
    framed = frame_cutout(rgba, 32)
    assert box(framed)[1] == 32
    assert framed[3, -1, 16] > 0.999


def test_place_and_scale_do_not_matter():
    small, large = cutout(80, 80, 11, 36, 10, 30), cutout(300, 300, 100, 200, 150, 230)  # windows 29 and 4 x 29
    difference = frame_cutout(small, 16)[3] - frame_cutout(large, 16)[3]
    assert difference.abs().mean() < 0.03


def test_hidden_colour_never_shows():
    framed = frame_cutout(cutout(120, 90, 10, 110, 20, 77), 32)
    seen = framed[3] > 1 / 255
    error = (framed[:3] - torch.tensor([0.2, 0.4, 0.8])[:, None, None]).abs()
    assert error[:, seen].max() < 1e-3
    assert (framed[:3, ~seen] == 0.5).all()
    assert framed.min() >= 0
    assert framed.max() <= 1


def test_subject_wider_than_the_picture_is_padded_with_transparency():
    framed = frame_cutout(cutout(40, 100, 0, 40, 0, 100), 58)  # 116 wide, 40 high, on the bottom edge
    assert (framed[3, :30] == 0).all()
    assert (framed[3, :, :3] == 0).all()
    assert (framed[3, :, -3:] == 0).all()


def test_nothing_to_frame():
    with pytest.raises(ValueError, match="no subject"):
        frame_cutout(torch.zeros(4, 8, 8), 8)


@pytest.fixture
def sources(tmp_path):
    """Source 0: 5 pictures with red 0.2, source 1: 3 with red 0.8; green tells the index, the left half is opaque."""
    sources = []
    for source, red in enumerate((51, 204)):
        paths = []
        for index in range(5 - 2 * source):
            rgba = torch.zeros(4, 8, 8)
            rgba[0], rgba[1], rgba[3, :, :4] = red / 255, index / 255, 1
            paths.append(tmp_path / f"{source}-{index}.png")
            write_rgba(paths[-1], rgba)
        sources.append(paths)
    return sources


def data(sources, **changes):
    return CutoutData(
        sources, **(dict(shares=[0.75, 0.25], resolution=8, batch=4, steps_per_epoch=5, seed=3) | changes)
    )


def test_batches_keep_the_shares_and_cover_every_picture(sources):
    batches = list(data(sources, mirror=False).train_dataloader())
    assert len(batches) == 5
    assert batches[0].shape == (4, 4, 8, 8)
    for batch in batches:
        assert (batch[:, 3, :, :4] == 1).all()
        assert (batch[:, 3, :, 4:] == -1).all()
        assert (batch[:, :3, :, 4:] == 0).all()
        red = (batch[:, 0, 0, 0] + 1) / 2
        torch.testing.assert_close(red, torch.tensor([0.2, 0.2, 0.2, 0.8]), atol=1e-6, rtol=0)
    index = ((torch.stack(batches)[:, :3, 1, 0, 0] + 1) / 2 * 255).round().flatten()
    assert sorted(index.tolist()) == sorted([0.0, 1, 2, 3, 4] * 3)  # 15 slots, 5 pictures, equally often


def test_order_is_a_function_of_the_epoch(sources):
    first, second = data(sources).train_dataloader(), data(sources).train_dataloader()
    for loader in (first, second):
        loader.sampler.set_epoch(1)
    assert torch.equal(torch.stack(list(first)), torch.stack(list(second)))
    second.sampler.set_epoch(2)
    assert not torch.equal(torch.stack(list(first)), torch.stack(list(second)))


def test_mirror_shows_both_sides(sources):
    batches = torch.cat(list(data(sources, steps_per_epoch=20).train_dataloader()))
    mirrored = batches[:, 3, 0, 0] == -1
    assert 0.3 < mirrored.float().mean() < 0.7
    assert torch.equal(mirrored, batches[:, 3, 0, 7] == 1)


def test_values_are_those_of_the_file(sources):
    from stylematte.imagefile import read_rgba

    only = data([sources[0][4:]], shares=None, batch=1, steps_per_epoch=1, mirror=False)
    (batch,) = only.train_dataloader()
    torch.testing.assert_close(batch[0], premultiply_about_grey(read_rgba(sources[0][4])))


def test_small_cache_gives_the_same_batches(sources):
    a, b = (list(data(sources, cache_bytes=room).train_dataloader()) for room in (0, 2**20))
    assert torch.equal(torch.stack(a), torch.stack(b))


def test_refusals(sources):
    with pytest.raises(ValueError, match="is 8 x 8 pixels, expected 16 x 16"):
        next(iter(data(sources, resolution=16).train_dataloader()))
    with pytest.raises(ValueError, match="no cut-outs"):
        data([[], []])
    assert data([sources[0], []]).slots == [4, 0]
