"""What the loop gains over its control, in sentences for a terminal, a page and a model card; or that there is none."""

from __future__ import annotations

from loop.report.data import AgainstControl, Change, Run
from loop.report.formats import num, signed

NO_CONTROL = "no control: nothing says that the pairs helped; run.control=true fits one"


def gain_sentences(run: Run) -> list[str]:
    """A heading, then a sentence for each domain; one line where nothing can be said; none in a run of round 0 alone.

    The matter that leaves the run is compared with the best round of the control, both chosen by one rule: the same
    held-out pictures in pairs (`loop/stages/compare.py`).
    """
    if not run.planned:
        return []
    if not run.has_control:
        return [NO_CONTROL]
    compared = run.compared
    if compared is None or compared.control is None:
        return ["the control has not been compared yet: no round of it is finished"]
    control, newest = compared.control, run.decided[-1].number if run.decided else 0
    late = f", as of round {compared.number} of {newest}" if newest > compared.number else ""
    head = f"round {control.best_round} against round {control.control_round} of the control (real pairs alone){late}:"
    return [head, *(sentence(domain, gain) for domain, gain in control.gains.items())]


def sentence(domain: str, gain: AgainstControl) -> str:
    """For example "portraits: SAD 0.387 against 0.420, −7.9 % (interval −12.1 % to −3.0 %, n=24): better"."""
    moved = f"SAD {num(gain.sad)} against {num(gain.control_sad)}, {signed(gain.change.value)}"
    return f"{domain}: {moved} (interval {between(gain.change)}, n={gain.pictures}): {shown(gain.change)}"


def between(change: Change) -> str:
    """The interval: "−12.1 % to −3.0 %"."""
    return f"{signed(change.low)} to {signed(change.high)}"


def shown(change: Change) -> str:
    """What the interval says of an error: better, worse, the same, or no difference shown."""
    if change.high < 0 or change.low > 0:
        return "better" if change.high < 0 else "worse"
    return "the same" if change.low == change.high == 0 else "no difference shown"
