"""What a run does now, in lines of at most 80 columns (`loop.engine.live`)."""

from __future__ import annotations

import textwrap

from loop.engine.live import Live, LiveStep
from loop.report.formats import clock

NARROW = 80


def live_lines(live: Live) -> list[str]:
    """The steps under way, the time left, the memory, the last verdict and messages."""
    lines = [f"{live.run}: {live.state}, {live.finished} of {live.total} steps done{_left(live)}"]
    for step in live.steps:
        lines += [f"  {step.step}: {_progress(step)}", f"    {_pace(step)}"]
    for verdict in live.verdicts[-1:]:
        word = "accepted" if verdict["accepted"] else "refused"
        lines += _wrapped(f"round {verdict['round']} {word}: {_reason(verdict['reason'])}")
    for message in live.messages[-1:] if live.state != "finished" else ():
        lines += _wrapped(message)
    return lines


def _left(live: Live) -> str:
    if live.state not in ("running", "stopping") or live.left is None:
        return ""
    if live.unmeasured:
        return f", {clock(live.left)} left without what was never measured"
    return f", about {clock(live.left)} left"


def _progress(step: LiveStep) -> str:
    if step.done is None or not step.total:
        return "at work"
    share = f" ({100 * step.done / step.total:.0f} %)"
    return f"{step.phase} {step.done} of {step.total}".strip() + share


def _pace(step: LiveStep) -> str:
    parts = [f"for {clock(step.seconds)}"]
    if step.speed:
        parts.append(f"{step.speed:.2f}/s" if step.speed < 10 else f"{step.speed:.0f}/s")
    if step.left is not None:
        parts.append(f"{clock(step.left)} left")
    if step.memory:
        parts.append(f"{step.memory / 1e9:.1f} GB")
    if step.gpu_memory:
        parts.append(f"{step.gpu_memory / 1e9:.1f} GB of GPU")
    return ", ".join(parts)


def _reason(reason: str) -> str:
    for word in ("Accepted: ", "Refused: "):
        reason = reason.removeprefix(word)
    return reason


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, NARROW, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
