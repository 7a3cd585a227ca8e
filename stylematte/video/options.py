"""What can be asked of the video pipeline: how masks are steadied, how wide trimaps are, how strong the guard is."""

from __future__ import annotations

from typing import NamedTuple

from stylematte.errors import ConfigError


class VideoOptions(NamedTuple):
    """Options of the pipeline; lengths are in units of the root of the subject's area.

    side: longest side, in pixels, at which masks, flow and trimaps are found. inward, outward: of the unknown band
    from the mask's edge. motion: how much of a pixel's displacement a frame the band gains. mask_memory, alpha_memory:
    share of the previous frame, carried along the flow, in masks and in the band's alpha where the flow can be trusted;
    0 is frame by frame. method: how alpha is found in the band: "network"; one of `by_trimap.METHODS`; "auto" is the
    first for a matter that takes trimaps and learned at native scale, else "closed-form". solved: unknown pixels that
    such a method solves for; more of them are solved reduced.
    """

    side: int = 384
    inward: float = 0.08
    outward: float = 0.1
    motion: float = 0.5
    mask_memory: float = 0.8
    alpha_memory: float = 0.7
    method: str = "auto"
    solved: int = 20_000

    def check(self) -> None:
        """Raises ConfigError for what cannot be meant."""
        if self.side < 64:
            raise ConfigError(f"side {self.side}: masks need at least 64 pixels")
        if self.solved < 1000:
            raise ConfigError(f"solved {self.solved}: expected at least 1000 pixels")
        for name in ("inward", "outward", "motion"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} {getattr(self, name)}: expected 0 to 1")
        for name in ("mask_memory", "alpha_memory"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: expected 0 to below 1")
