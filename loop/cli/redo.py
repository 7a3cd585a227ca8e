"""Asks before `run` makes results again that took long: lists the steps, the hours at stake and what changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from loop.config.load import to_yaml
from loop.config.schema import Config
from loop.engine import consent
from loop.engine.consent import AtStake
from loop.engine.freshness import changes, shortened
from loop.engine.step import Step


class NeedsConsent(ValueError):
    """Results that took long would be made again, and nobody has agreed to that."""

    exit_code = 2


def obtain_consent(config: Config, run_dir: Path, steps: Sequence[Step], redo: bool, may_ask: bool) -> None:
    """Returns when the run may go on. Raises NeedsConsent, with nothing changed on disk, when it may not."""
    if consent.is_given(run_dir, steps):
        return
    stake = consent.at_stake(run_dir, steps)
    seconds = sum(one.seconds for one in stake)
    if seconds <= config.launch.ask_above:
        consent.withdraw(run_dir)  # it was for another plan
        return
    print(listing(stake, _changed_options(config, run_dir)), file=sys.stderr, flush=True)
    if not redo and not (may_ask and _says_yes(seconds)):
        raise NeedsConsent(
            f"nothing was changed: {len(stake)} results of {duration(seconds)} would be made again; --redo does it "
            f"(the present ones are kept until `stylematte gc`)"
        )
    consent.give(run_dir, steps)


def listing(stake: Sequence[AtStake], changed: str) -> str:
    """One line a result that would be made again: its step, what it took, why."""
    width = max(len(one.step.id) for one in stake)
    lines = [f"  {one.step.id:{width}}  {duration(one.seconds):>9}  {one.reason}" for one in stake]
    why = f" ({changed})" if changed else ""
    return "\n".join([f"results that would be made again{why}:", *lines])


def duration(seconds: float) -> str:
    """For example "12.3 s", "4.5 min", "7.1 h"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _says_yes(seconds: float) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"make them again ({duration(seconds)})? The present ones are kept. [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _changed_options(config: Config, run_dir: Path) -> str:
    """The options that differ from those of the run so far; empty when none does (a stage's version, a data folder)."""
    path = run_dir / "config.yaml"
    if not path.is_file():
        return ""
    return shortened(changes(yaml.safe_load(path.read_text()), yaml.safe_load(to_yaml(config))))
