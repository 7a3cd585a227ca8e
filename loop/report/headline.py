"""The top of the report: the state of the run in a few sentences, and each domain's gain over the control."""

from __future__ import annotations

from html import escape

from loop.report.data import Round, Run
from loop.report.formats import num, signed
from loop.report.gain import NO_CONTROL, between, shown


def lead(run: Run) -> str:
    """The page in a few sentences."""
    accepted, best, decided = run.accepted, run.best, len(run.decided)
    total = max(run.planned + 1, decided)
    state = "finished" if decided >= total else f"in progress, {decided} of {total} rounds decided"
    if accepted is None or best is None:
        return f"The run is {state}. No matter has been accepted yet."
    refused = [str(round_.number) for round_ in run.decided if not round_.accepted]
    tail = f" Refused: round {', '.join(refused)}." if refused else ""
    if best is not accepted:
        tail = f" The loop went on with that of round {accepted.number}, which is not better.{tail}"
    return f"The run is {state}. The best matter is that of <b>round {best.number}</b>.{tail}{_without_control(run)}"


def _without_control(run: Run) -> str:
    """Said where it is so: rounds with pairs, and nothing to compare them with."""
    return "" if run.has_control or not run.planned else f" {NO_CONTROL[:1].upper()}{NO_CONTROL[1:]}."


def tiles(run: Run) -> str:
    """Held-out SAD of the best matter in each domain, against the control, round 0 and the floors."""
    best = run.best
    if best is None:
        return ""
    cards = []
    for index, domain in enumerate(run.domains):
        score = best.scores.get(domain)
        if not score:
            continue
        floors = f"all-zero matte {num(score.get('zero_SAD'))}, best constant {num(score.get('constant_SAD'))}"
        pictures = "?" if score.pictures is None else score.pictures
        measured = f"{pictures} held-out pictures, truth: {escape(score.kind or 'alpha')}"
        against = _against_control(run, domain) + _against_first(best, domain)
        cards.append(
            f'<div class="kpi c{index % 6}"><small>{escape(domain)}</small>'
            f"<b>{num(score.get('SAD'))} <span>SAD</span></b>{against}"
            f"<small>{floors}<br>{measured}</small></div>"
        )
    return f'<div class="tiles">{"".join(cards)}</div>'


def _against_control(run: Run, domain: str) -> str:
    """The gain over the control with its interval; "" where there is none to tell."""
    compared = run.compared
    control = compared.control if compared else None
    gain = control.gains.get(domain) if control else None
    if compared is None or control is None or gain is None:
        return "<div>the control has not been compared yet</div>" if run.has_control and run.planned else ""
    late = f", as of round {compared.number}" if compared is not run.decided[-1] else ""
    return (
        f'<div><b class="gain">{signed(gain.change.value)}</b> against the control: {shown(gain.change)}</div>'
        f"<small>interval {between(gain.change)}; control (real pairs alone), its best round {control.control_round}: "
        f"{num(gain.control_sad)}{late}</small>"
    )


def _against_first(best: Round, domain: str) -> str:
    changes = best.verdict.changes if best.verdict is not None else {}
    change = changes.get(domain, {}).get("vs_first")
    if change is None or best.number == 0:
        return "<div>round 0: real pairs alone</div>"
    return f"<small>{signed(change.value)} against round 0 (interval {between(change)})</small>"
