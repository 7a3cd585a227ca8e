"""The top of the report: the state of the run in two sentences, and one headline number per domain."""

from __future__ import annotations

from html import escape

from loop.report.data import Round, Run
from loop.report.formats import num, signed


def lead(run: Run) -> str:
    """The page in two sentences."""
    accepted, decided = run.accepted, len(run.decided)
    total = max(run.planned + 1, decided)
    state = "finished" if decided >= total else f"in progress, {decided} of {total} rounds decided"
    if accepted is None:
        return f"The run is {state}. No matter has been accepted yet."
    refused = [str(round_.number) for round_ in run.decided if not round_.accepted]
    tail = f" Refused: round {', '.join(refused)}." if refused else ""
    return f"The run is {state}. The accepted matter is that of <b>round {accepted.number}</b>.{tail}"


def tiles(run: Run) -> str:
    """Held-out SAD of the accepted matter in each domain, against round 0 and the floors."""
    accepted = run.accepted
    if accepted is None:
        return ""
    cards = []
    for index, domain in enumerate(run.domains):
        score = accepted.scores.get(domain)
        if not score:
            continue
        floors = f"all-zero matte {num(score.get('zero_SAD'))}, best constant {num(score.get('constant_SAD'))}"
        pictures = "?" if score.pictures is None else score.pictures
        measured = f"{pictures} held-out pictures, truth: {escape(score.kind or 'alpha')}"
        cards.append(
            f'<div class="kpi c{index % 6}"><small>{escape(domain)}</small>'
            f"<b>{num(score.get('SAD'))} <span>SAD</span></b>{_against_first(accepted, domain)}"
            f"<small>{floors}<br>{measured}</small></div>"
        )
    return f'<div class="tiles">{"".join(cards)}</div>'


def _against_first(accepted: Round, domain: str) -> str:
    changes = accepted.verdict.changes if accepted.verdict is not None else {}
    change = changes.get(domain, {}).get("vs_first")
    if change is None or accepted.number == 0:
        return "<div>round 0: real pairs alone</div>"
    value, low, high = (signed(each) for each in (change.value, change.low, change.high))
    return f"<div><b style='font-size:15px;display:inline'>{value}</b> against round 0 (interval {low} to {high})</div>"
