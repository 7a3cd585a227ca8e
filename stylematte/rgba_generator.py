"""The contract between whatever makes RGBA cut-outs and what learns from them: `RGBAGenerator` and its samples.

It stands in the base of `stylematte`, and not beside the built-in generators in `stylematte.generators`, because
`stylemattegan` fulfils it too and imports the base alone. Packages of others announce theirs under the entry-point
group `stylematte.generators`; `loop.datasets.registry` finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

ENTRY_POINTS = "stylematte.generators"


class RGBASample(NamedTuple):
    """One cut-out as its generator gives it, before `stylematte.generators.ingest` has looked at it.

    rgba: (4, H, W) float32 in [0, 1], straight sRGB. name: unique among the samples of one generator. seed: the
    position it was asked at. model, digest: what made it, and the SHA-256 (hex) of that. group: samples of one group
    (frames of a video, one cell of prompts with one seed) show the same subject and belong into one split; "" = alone.
    hints: what a side-car file or the generator says of the file's conventions, see `ingest`. figures: numbers and
    words about it, JSON.
    """

    rgba: Tensor
    name: str
    seed: int
    prompt: str = ""
    model: str = ""
    digest: str = ""
    licence: str = ""
    group: str = ""
    hints: Mapping[str, Any] = {}
    figures: Mapping[str, Any] = {}


class Unusable(NamedTuple):
    """A position at which there is something that is no picture: it is refused with this reason."""

    name: str
    seed: int
    reason: str


@runtime_checkable
class RGBAGenerator(Protocol):
    """Anything that makes RGBA cut-outs.

    name: letters, digits, hyphens. licence: of what it makes, as SPDX says it or in words. count: how many samples
    there are, or None if there is no end.
    """

    name: str
    licence: str

    @property
    def count(self) -> int | None: ...

    def sample(self, n: int, seed: int = 0, prompts: Sequence[str] | None = None) -> Iterator[RGBASample | Unusable]:
        """The samples of the positions seed, seed + 1, ... seed + n - 1; fewer where `count` ends.

        Each depends on its position (and its prompt, `prompts[i]` for the i-th) alone, never on n or on earlier calls:
        that is what lets a killed data set go on, and several machines share one.
        """
        ...
