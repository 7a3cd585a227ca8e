"""The report's table of rounds, the figures by round, and the verdicts with their intervals. "" when empty."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from loop.report.charts import Line, Span, interval_chart, legend, line_chart
from loop.report.data import FIGURES, Control, Distances, Points, Round, Run, Sieve
from loop.report.elements import labelled, section, tag, why
from loop.report.formats import num, signed
from loop.report.gain import NO_CONTROL, between, gain_sentences

NUMERIC = (*FIGURES, "Fréchet", "KID", "Labels kept", "Pairs kept")
CONTROL = ("Against control", "Control SAD")
CONTROL_NOTE = (
    " Control: the same matter, fitted on real pairs alone with equal steps and pictures in each round, no gate; each "
    "row compares the loop with it after the same round, on the same pictures. The gain at the top is that of the best "
    "round over the control's best round."
)
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
    control = CONTROL if run.has_control else ()
    heads = ("Round", "Domain", NUMERIC[0], *control, *NUMERIC[1:], "Verdict")
    left = ("Round", "Domain", "Verdict")
    head = "".join(f"<th>{name}</th>" if name in left else f'<th class="n">{name}</th>' for name in heads)
    bodies = "".join(_round_body(run, round_) for round_ in run.rounds)
    table = (
        f'<div class="scroll"><table class="stack"><thead><tr>{head}</tr></thead>{bodies}{_floors(run)}</table></div>'
    )
    note = CONTROL_NOTE if run.has_control else f" {NO_CONTROL[:1].upper()}{NO_CONTROL[1:]}." if run.planned else ""
    return section("rounds", "Rounds", ROUNDS_NOTE + note, table + _gain(run) + _trends(run))


def _gain(run: Run) -> str:
    """The best round against the control's best, in sentences and as intervals. "" without a control."""
    control = run.compared.control if run.compared else None
    if control is None:
        return ""
    changes = [(index, domain, control.gains[domain].change) for index, domain in _known(run, control)]
    spans = [Span(domain, change.low, change.value, change.high, index) for index, domain, change in changes]
    lines = "".join(f"<p>{escape(line[:1].upper() + line[1:])}</p>" for line in gain_sentences(run))
    return f"<h3>Gain over the control</h3>{lines}{interval_chart('relative change of mean SAD', spans, None, 480)}"


def _known(run: Run, control: Control) -> list[tuple[int, str]]:
    """The domains that were compared, with their places, which are their colours."""
    return [(index, domain) for index, domain in enumerate(run.domains) if domain in control.gains]


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
    current = run.best is round_
    control = CONTROL if run.has_control else ()
    heads = ("Domain", NUMERIC[0], *control, *NUMERIC[1:])
    rows = [[labelled(_cells(run, round_, domain), heads)] for domain in run.domains]
    if rows:
        mark = "<small>best</small>" if current else ""
        rows[0].insert(0, f'<td data-h="Round" rowspan="{len(rows)}" class="r"><b>{round_.number}</b>{mark}</td>')
        reason = "" if run.has_control else f"<br>{why(round_.verdict)}"  # no room: it is in the verdicts' section
        rows[0].append(f'<td data-h="Verdict" rowspan="{len(rows)}" class="why">{tag(round_.verdict)}{reason}</td>')
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
    cells[2:2] = _control_cells(round_, domain) if run.has_control else ()
    cells += [f'<td class="n">{num(value)}</td>' for value in (distances.frechet, distances.kid)]
    return cells + [f'<td class="n">{_kept(sieve.get(domain))}</td>' for sieve in (round_.labels, round_.pairs)]


def _control_cells(round_: Round, domain: str) -> list[str]:
    """The control's SAD in this round, and the change to it with its interval."""
    control = round_.control
    score, against = (control.scores.get(domain), control.same_round.get(domain)) if control else (None, None)
    change = "–" if against is None else f"{signed(against.change.value)}<small>{between(against.change)}</small>"
    return [f'<td class="n">{change}</td>', f'<td class="n">{num(score.get("SAD") if score else None)}</td>']


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
    rest = 9 + (len(CONTROL) if run.has_control else 0)
    rows = [
        f'<tr class="floor"><td></td><td>{escape(domain)}</td>'
        f'<td class="n">{num(last.scores[domain].get(key))}</td><td colspan="{rest}">{text}</td></tr>'
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
    entries = [(domain, index, False) for index, domain in enumerate(run.domains)]
    if run.has_control:
        entries += [(f"{domain}, control", index, True) for index, domain in enumerate(run.domains)]
    keys = legend(entries)
    return f'<h3>By round</h3>{keys}<div class="charts">{"".join(charts)}</div>'


def _figure_lines(run: Run, name: str) -> list[Line]:
    """With the control's; without one SAD's floor, drawn where it does not flatten the curves."""
    lines = []
    for index, domain in enumerate(run.domains):
        known = [(r.number, r.scores[domain]) for r in run.rounds if domain in r.scores]
        points = _points([(number, score.get(name)) for number, score in known])
        floor = _points([(number, score.get("constant_SAD")) for number, score in known]) if name == "SAD" else []
        lines.append(Line(domain, points, index))
        controls = [(r.number, r.control.scores.get(domain)) for r in run.rounds if r.control is not None]
        of_control = _points([(number, score.get(name)) for number, score in controls if score is not None])
        if of_control:  # it starts from round 0, as the loop does
            lines.append(Line(f"{domain}, control", points[:1] + of_control, index, dashed=True))
        elif points and floor and floor[0][1] < 2 * max(y for _, y in points):
            lines.append(Line(f"{domain}, best constant matte", floor, index, dashed=True))
    return lines


def _frechet_lines(run: Run) -> list[Line]:
    return [
        Line(domain, _points([(r.number, r.distances[domain].frechet) for r in run.rounds if domain in r.distances]), i)
        for i, domain in enumerate(run.domains)
    ]


def _points(values: Sequence[tuple[int, float | None]]) -> Points:
    return [(float(x), float(y)) for x, y in values if y is not None]
