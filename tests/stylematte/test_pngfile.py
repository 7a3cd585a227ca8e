"""The quick PNG encoder against two decoders that are not ours."""

import zlib
from io import BytesIO
from types import ModuleType

import cv2
import numpy as np
import pytest
from isal import isal_zlib
from PIL import Image

from stylematte import pngfile
from stylematte.pngfile import QuickPng


def packed(picture: np.ndarray, step: int = 100) -> bytes:
    png = QuickPng((*picture.shape, 1)[:3], picture.itemsize * 8)
    for first in range(0, len(picture), step):
        png.add(picture[first : first + step])
    return png.file()


@pytest.mark.parametrize("shape", [(5, 7), (40, 3, 3), (1, 300, 4), (700, 333, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("packer", [isal_zlib, zlib])
def test_decoded_it_is_the_same(
    packer: ModuleType, shape: tuple[int, ...], kind: type[np.integer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the packer of the extra `fast`, and of the one that is always there."""
    monkeypatch.setattr(pngfile, "zlib", packer)
    picture = np.random.default_rng(0).integers(0, np.iinfo(kind).max + 1, shape, kind)
    data = packed(picture)
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if len(shape) == 3:
        seen = seen[..., [2, 1, 0, 3][: shape[2]]]
    assert seen.dtype == kind
    assert np.array_equal(seen, picture)
    if kind is np.uint8:
        assert np.array_equal(np.asarray(Image.open(BytesIO(data))), picture)


def test_runs_are_short() -> None:
    assert len(packed(np.full((512, 512, 4), 200, np.uint8))) < 512 * 512 * 4 / 100
