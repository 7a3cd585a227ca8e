"""Consent before a run makes results again that took long: the steps, the hours at stake and what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from loop.config.load import to_yaml
from loop.config.schema import Config
from loop.engine import consent
from loop.engine.consent import AtStake
from loop.engine.freshness import changes, shortened
from loop.engine.step import Step
from stylematte.errors import ConfigError
from stylematte.sealed import check_seal


class NeedsConsent(ConfigError):
    """Results that took long would be made again, and nobody has agreed to that."""


Agree = Callable[[str, float], bool]
"""(what would be made again, a line each; the seconds that took) -> whether to go on."""


def obtain_consent(config: Config, run_dir: Path, steps: Sequence[Step], agree: Agree) -> None:
    """Returns when the run may go on. Raises NeedsConsent, with nothing changed on disk, when it may not.

    agree: is asked if results of more than launch.ask_above seconds would be made again.
    """
    if consent.is_given(run_dir, steps):
        return
    stake = consent.at_stake(run_dir, steps)
    seconds = sum(one.seconds for one in stake)
    if seconds <= config.launch.ask_above:
        consent.withdraw(run_dir)  # it was for another plan
        return
    if not agree(listing(stake, _changed_options(config, run_dir)), seconds):
        raise NeedsConsent(
            f"nothing was changed: {len(stake)} results that took {duration(seconds)} may be made again; to do it, add "
            f"--redo (the present ones are kept until `stylematte gc`)"
        )
    consent.give(run_dir, steps)


def listing(stake: Sequence[AtStake], changed: str) -> str:
    """One line a result that would be made again: its step, what it took, why.

    "may", because a step behind a changed one sleeps on if its input comes out with the same bytes.
    """
    width = max(len(one.step.id) for one in stake)
    lines = [f"  {one.step.id:{width}}  {duration(one.seconds):>9}  {one.reason}" for one in stake]
    why = f" ({changed})" if changed else ""
    return "\n".join([f"results that may be made again{why}:", *lines])


def duration(seconds: float) -> str:
    """For example "12.3 s", "4.5 min", "7.1 h"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _changed_options(config: Config, run_dir: Path) -> str:
    """The options that differ from those of the run so far; empty when none does (a stage's version, a data folder)."""
    path = run_dir / "config.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        check_seal(text)
        before = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):  # none yet, or damaged: it is written anew
        return ""
    return shortened(changes(before, yaml.safe_load(to_yaml(config))))
