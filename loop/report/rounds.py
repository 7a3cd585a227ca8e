"""The report's table of rounds, the figures by round, and the verdicts with their intervals. "" when empty."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from loop.report.charts import Line, Span, interval_chart, legend, line_chart
from loop.report.data import FIGURES, Distances, Points, Round, Run, Sieve
from loop.report.elements import section, tag, why
from loop.report.formats import num

NUMERIC = (*FIGURES, "Fréchet", "KID", "Labels kept", "Pairs kept")
ROUNDS_NOTE = (
    "Means over held-out pictures by the P3M protocol, lower is better; bold is the best accepted value. Conn "
    "of an empty matte is 0, so it never decides. Fréchet and KID compare generated cut-outs with the generator's "
    "training set in the features of round 0's matter: comparable within this run only."
)
VERDICTS_NOTE = (
    "Pictures are resampled in pairs; the interval, not the mean, decides. Left of the solid line is better. The "
    "upper end may not pass the dashed line (accept.margin), against the best matter so far and against round 0's."
)


def rounds_section(run: Run) -> str:
    """Every figure of every round and domain, what the generator and the selection did, and the verdict."""
    heads = ("Round", "Domain", *NUMERIC, "Verdict")
    head = "".join(f'<th class="n">{name}</th>' if name in NUMERIC else f"<th>{name}</th>" for name in heads)
    bodies = "".join(_round_body(run, round_) for round_ in run.rounds)
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{bodies}{_floors(run)}</table></div>'
    return section("rounds", "Rounds", ROUNDS_NOTE, table + _trends(run))


def verdicts_section(run: Run) -> str:
    """Why each round was accepted or refused, with the intervals the decision rests on."""
    parts = []
    for round_ in run.decided:
        parts.append(f"<h3>Round {round_.number} {tag(round_.verdict)}</h3><p>{why(round_.verdict)}</p>")
        parts.append(interval_chart("relative change of mean SAD", _spans(run, round_), run.margin))
    return section("verdicts", "Verdicts", VERDICTS_NOTE, "".join(parts)) if parts else ""


def _spans(run: Run, round_: Round) -> list[Span]:
    changes = round_.verdict.changes if round_.verdict is not None else {}
    return [
        Span(f"{domain} {name.replace('_', ' ')}", change.low, change.value, change.high, index)
        for index, domain in enumerate(run.domains)
        for name, change in changes.get(domain, {}).items()
    ]


def _round_body(run: Run, round_: Round) -> str:
    current = run.accepted is round_
    rows = [_cells(run, round_, domain) for domain in run.domains]
    if rows:
        mark = "<small>current</small>" if current else ""
        rows[0].insert(0, f'<td rowspan="{len(rows)}" class="r"><b>{round_.number}</b>{mark}</td>')
        rows[0].append(f'<td rowspan="{len(rows)}" class="why">{tag(round_.verdict)}<br>{why(round_.verdict)}</td>')
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<tbody class="round{" current" if current else ""}">{lines}</tbody>'


def _cells(run: Run, round_: Round, domain: str) -> list[str]:
    """A domain's numbers in that round, from its name to the pairs kept."""
    score, distances = round_.scores.get(domain), round_.distances.get(domain, Distances())
    cells = [f"<td>{escape(domain)}</td>"]
    for name in FIGURES:
        value = score.get(name) if score is not None else None
        text = num(value)
        best = value is not None and value == _best(run, domain, name)
        cells.append(f'<td class="n">{f"<b>{text}</b>" if best else text}</td>')
    cells += [f'<td class="n">{num(value)}</td>' for value in (distances.frechet, distances.kid)]
    return cells + [f'<td class="n">{_kept(sieve.get(domain))}</td>' for sieve in (round_.labels, round_.pairs)]


def _best(run: Run, domain: str, name: str) -> float | None:
    """The lowest accepted value, where there is more than one."""
    scores = [round_.scores[domain] for round_ in run.decided if round_.accepted and domain in round_.scores]
    values = [value for score in scores if (value := score.get(name)) is not None]
    return min(values) if len(values) > 1 else None


def _kept(sieve: Sieve | None) -> str:
    return "–" if sieve is None else f"{sieve.kept} of {sieve.total}"


def _floors(run: Run) -> str:
    """What a matte without any knowledge scores; printed beside every table so that numbers have a scale."""
    last = next((r for r in reversed(run.rounds) if r.scores), None)
    if last is None:
        return ""
    rows = [
        f'<tr class="floor"><td></td><td>{escape(domain)}</td><td class="n">{num(last.scores[domain].get(key))}</td>'
        f'<td colspan="9">{text}</td></tr>'
        for key, text in (("zero_SAD", "all-zero matte"), ("constant_SAD", "best constant matte"))
        for domain in run.domains
        if domain in last.scores
    ]
    return f'<tbody class="round">{"".join(rows)}</tbody>'


def _trends(run: Run) -> str:
    """Each figure by round, one line a domain."""
    charts = [line_chart(f"{name}, held out", _figure_lines(run, name), dots=True) for name in FIGURES]
    charts.append(line_chart("Fréchet, generated", _frechet_lines(run), dots=True))
    if not any(charts):
        return ""
    keys = legend([(domain, index, False) for index, domain in enumerate(run.domains)])
    return f'<h3>By round</h3>{keys}<div class="charts">{"".join(charts)}</div>'


def _figure_lines(run: Run, name: str) -> list[Line]:
    """With SAD's floor, drawn where it does not flatten the curves."""
    lines = []
    for index, domain in enumerate(run.domains):
        known = [(r.number, r.scores[domain]) for r in run.rounds if domain in r.scores]
        points = _points([(number, score.get(name)) for number, score in known])
        floor = _points([(number, score.get("constant_SAD")) for number, score in known]) if name == "SAD" else []
        lines.append(Line(domain, points, index))
        if points and floor and floor[0][1] < 2 * max(y for _, y in points):
            lines.append(Line(f"{domain}, best constant matte", floor, index, dashed=True))
    return lines


def _frechet_lines(run: Run) -> list[Line]:
    return [
        Line(domain, _points([(r.number, r.distances[domain].frechet) for r in run.rounds if domain in r.distances]), i)
        for i, domain in enumerate(run.domains)
    ]


def _points(values: Sequence[tuple[int, float | None]]) -> Points:
    return [(float(x), float(y)) for x, y in values if y is not None]
