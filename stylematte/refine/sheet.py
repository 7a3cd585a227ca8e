"""A contact sheet of refined alphas: before, after, and where they differ, those that changed most first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stylematte.sheets import contact_sheet, thumbnail


class Change(NamedTuple):
    """How much a picture changed, to sort by, and the three small pictures (C, H, W) that show it."""

    amount: float
    shown: tuple[Tensor, Tensor, Tensor]


def change(before: Tensor, after: Tensor, amount: float) -> Change:
    """before, after: (1, H, W) alphas."""
    return Change(amount, (thumbnail(before), thumbnail(after), thumbnail((after - before).abs())))


def worst(changes: Sequence[Change], most: int) -> list[Change]:
    return sorted(changes, key=lambda each: -each.amount)[:most]


def sheet_of(changes: Sequence[Change], most: int = 16) -> Tensor | None:
    """(3, H', W'), two pictures a row; None of nothing."""
    shown = [picture for each in worst(changes, most) for picture in each.shown]
    return contact_sheet([torch.as_tensor(picture) for picture in shown], 6) if shown else None
