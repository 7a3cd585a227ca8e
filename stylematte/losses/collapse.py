"""Detects that a matte trained with the distance consistency loss (`ddc`) collapses to a constant.

A constant matte reaches the floor of ddc. If ddc weighs too much, the matte gives up the known pixels of its trimaps
for it: the known-region term rises while ddc's excess over its floor falls to 0. (The weight of Liu et al., 10, does
this to a small network from random weights; theirs was pretrained.)
"""

from __future__ import annotations

from typing import Any

MEMORY = 0.9
"""Of the running means: about the last ten steps with trimaps."""
SETTLE = 20
"""Steps before the running means are believed."""
RISE, RISE_BY = 1.25, 0.02
"""The known-region term has risen: above 1.25 times its least so far, and by more than 0.02 (alpha is in [0, 1])."""
FLAT = 0.1
"""The excess has fallen to 0: below a tenth of what it was when the known-region term was least. Where it was below 0
already, the matte followed colours, and ddc had nothing to gain from a flat one."""
PATIENCE = 10
"""Steps in a row for which both must hold."""


class CollapseWatch:
    """Takes (known, excess) step by step. All it keeps is in `state`, so a resumed fit decides as the unbroken one."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"steps": 0, "known": 0.0, "excess": 0.0, "least": None, "then": 0.0, "held": 0}

    def update(self, known: float, excess: float) -> str | None:
        """What happened, in words, once it has happened; None as long as all is well."""
        state = self.state
        state["steps"] += 1
        fresh = max(1 - MEMORY, 1 / state["steps"])  # a plain mean until there is memory enough
        state["known"] += fresh * (known - state["known"])
        state["excess"] += fresh * (excess - state["excess"])
        if state["steps"] < SETTLE:
            return None
        if state["least"] is None or state["known"] < state["least"]:
            state["least"], state["then"] = state["known"], state["excess"]
        risen = state["known"] > max(RISE * state["least"], state["least"] + RISE_BY)
        flat = state["excess"] < FLAT * state["then"] and state["then"] > 0
        state["held"] = state["held"] + 1 if risen and flat else 0
        if state["held"] < PATIENCE:
            return None
        return (
            f"the known-region term rose from {state['least']:.3f} to {state['known']:.3f} "
            f"while ddc's excess fell from {state['then']:.4f} to {state['excess']:.4f}"
        )
