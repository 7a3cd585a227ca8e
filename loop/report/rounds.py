"""The report's table of rounds, the figures by round, and the verdicts with their intervals. "" when empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from loop.report.charts import Intervals, Line, Span, intervals, line_chart
from loop.report.data import FIGURES, Control, Distances, Points, Round, Run
from loop.report.elements import why
from loop.report.figures import Figure, change_figures, figure, folder, kept_of, stage
from loop.report.gain import NO_CONTROL, gain_sentences
from loop.report.templates import render

NUMERIC = (*FIGURES, "Fréchet", "KID", "Labels kept", "Pairs kept")
CONTROL = ("Against control", "Control SAD")
EVERY = "rounds/*/{}/stage.json"
"""Where a curve by round was read: * is the round of a point."""
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


def rounds_section(run: Run) -> Markup:
    """Every figure of every round and domain, what the generator and the selection did, and the verdict."""
    note = CONTROL_NOTE if run.has_control else f" {NO_CONTROL[:1].upper()}{NO_CONTROL[1:]}." if run.planned else ""
    trends = _trends(run)
    return render(
        "rounds.html",
        note=ROUNDS_NOTE + note,
        has_control=run.has_control,
        figures=FIGURES,
        heads=(NUMERIC[0], *(CONTROL if run.has_control else ()), *NUMERIC[1:]),
        rounds=[_round(run, round_) for round_ in run.rounds],
        floors=_floors(run),
        gain=_gain(run),
        trends=trends,
        keys=_keys(run),
    )


def _gain(run: Run) -> dict[str, Any] | None:
    """The best round against the control's best, in sentences and as intervals. None without a control."""
    compared = run.compared
    control = compared.control if compared else None
    if compared is None or control is None:
        return None
    file = f"{folder(compared.number, 'control/compare')}/gain.json"
    changes = [(index, domain, control.gains[domain].change) for index, domain in _known(run, control)]
    spans = [Span(d, c.low, c.value, c.high, index, file, f"gain/{d}") for index, d, c in changes]
    lines = [line[:1].upper() + line[1:] for line in gain_sentences(run)]
    return {"lines": lines, "intervals": intervals("relative change of mean SAD", spans, None)}


def _known(run: Run, control: Control) -> list[tuple[int, str]]:
    """The domains that were compared, with their places, which are their colours."""
    return [(index, domain) for index, domain in enumerate(run.domains) if domain in control.gains]


def verdicts_section(run: Run) -> Markup:
    """Why each round was accepted or refused, with the intervals the decision rests on."""
    verdicts = [
        {
            "number": round_.number,
            "verdict": round_.verdict,
            "why": why(round_.verdict),
            "intervals": _spans(run, round_),
        }
        for round_ in run.decided
    ]
    return render("verdicts.html", note=VERDICTS_NOTE, verdicts=verdicts) if verdicts else Markup("")


def _spans(run: Run, round_: Round) -> Intervals | None:
    changes = round_.verdict.changes if round_.verdict is not None else {}
    file = f"{folder(round_.number, 'accept')}/verdict.json"
    spans = [
        Span(
            f"{domain} {name.replace('_', ' ')}",
            *(change.low, change.value, change.high),
            index,
            file,
            f"intervals/{domain}/{name}",
        )
        for index, domain in enumerate(run.domains)
        for name, change in changes.get(domain, {}).items()
    ]
    return intervals("relative change of mean SAD", spans, run.margin)


def _round(run: Run, round_: Round) -> dict[str, Any]:
    return {
        "number": round_.number,
        "current": run.best is round_,
        "verdict": round_.verdict,
        "why": why(round_.verdict),
        "domains": [_domain(run, round_, domain) for domain in run.domains],
    }


def _domain(run: Run, round_: Round, domain: str) -> dict[str, Any]:
    """A domain's numbers in that round, from its name to the pairs kept."""
    score, distances = round_.scores.get(domain), round_.distances.get(domain, Distances())
    values = {name: score.get(name) if score is not None else None for name in FIGURES}
    selected = stage(round_.number, f"{domain}/select_generator")
    return {
        "name": domain,
        "figures": {name: _scored(round_, domain, name, value) for name, value in values.items()},
        "best": {name for name, value in values.items() if value is not None and value == _best(run, domain, name)},
        "control": _control(round_, domain),
        "distances": [
            figure(distances.frechet, selected, "metrics/frechet"),
            figure(distances.kid, selected, "metrics/kid"),
        ],
        "labels": kept_of(round_.labels.get(domain), round_.number, f"{domain}/label"),
        "pairs": kept_of(round_.pairs.get(domain), round_.number, f"{domain}/select"),
    }


def _scored(round_: Round, domain: str, name: str, value: float | None, step: str = "evaluate") -> Figure:
    return figure(value, stage(round_.number, step), f"metrics/{domain}/{name}")


def _control(round_: Round, domain: str) -> dict[str, Any]:
    """The control's SAD in this round, and the change to it with its interval."""
    control, number = round_.control, round_.number
    score, against = (control.scores.get(domain), control.same_round.get(domain)) if control else (None, None)
    file = f"{folder(number, 'control/compare')}/gain.json"
    return {
        "change": change_figures(against.change, file, f"same_round/{domain}") if against else None,
        "sad": _scored(round_, domain, "SAD", score.get("SAD") if score else None, "control/evaluate"),
    }


def _best(run: Run, domain: str, name: str) -> float | None:
    """The lowest accepted value, where there is more than one."""
    scores = [round_.scores[domain] for round_ in run.decided if round_.accepted and domain in round_.scores]
    values = [value for score in scores if (value := score.get(name)) is not None]
    return min(values) if len(values) > 1 else None


def _floors(run: Run) -> list[dict[str, Any]]:
    """What a matte without any knowledge scores; printed beside every table so that numbers have a scale."""
    last = next((r for r in reversed(run.rounds) if r.scores), None)
    if last is None:
        return []
    return [
        {"domain": domain, "sad": _scored(last, domain, key, last.scores[domain].get(key)), "text": text}
        for key, text in (("zero_SAD", "all-zero matte"), ("constant_SAD", "best constant matte"))
        for domain in run.domains
        if domain in last.scores
    ]


def _trends(run: Run) -> list[Markup]:
    """Each figure by round, one line a domain."""
    charts = [line_chart(f"{name}, held out", _figure_lines(run, name), "round", dots=True) for name in FIGURES]
    charts.append(line_chart("Fréchet, generated", _frechet_lines(run), "round", dots=True))
    return [chart for chart in charts if chart]


def _keys(run: Run) -> list[tuple[str, int, bool]]:
    entries = [(domain, index, False) for index, domain in enumerate(run.domains)]
    if run.has_control:
        entries += [(f"{domain}, control", index, True) for index, domain in enumerate(run.domains)]
    return entries


def _figure_lines(run: Run, name: str) -> list[Line]:
    """With the control's; without one SAD's floor, drawn where it does not flatten the curves."""
    lines = []
    for index, domain in enumerate(run.domains):
        key = f"metrics/{domain}/{name}"
        known = [(r.number, r.scores[domain]) for r in run.rounds if domain in r.scores]
        points = _points([(number, score.get(name)) for number, score in known])
        floor = _points([(number, score.get("constant_SAD")) for number, score in known]) if name == "SAD" else []
        lines.append(Line(domain, points, index, False, EVERY.format("evaluate"), key))
        controls = [(r.number, r.control.scores.get(domain)) for r in run.rounds if r.control is not None]
        of_control = _points([(number, score.get(name)) for number, score in controls if score is not None])
        if of_control:  # it starts from round 0, as the loop does
            begun = points[:1] + of_control
            lines.append(Line(f"{domain}, control", begun, index, True, EVERY.format("control/evaluate"), key))
        elif points and floor and floor[0][1] < 2 * max(y for _, y in points):
            floor_key = f"metrics/{domain}/constant_SAD"
            lines.append(
                Line(f"{domain}, best constant matte", floor, index, True, EVERY.format("evaluate"), floor_key)
            )
    return lines


def _frechet_lines(run: Run) -> list[Line]:
    lines = []
    for index, domain in enumerate(run.domains):
        values = [(r.number, r.distances[domain].frechet) for r in run.rounds if domain in r.distances]
        file = EVERY.format(f"{domain}/select_generator")
        lines.append(Line(domain, _points(values), index, False, file, "metrics/frechet"))
    return lines


def _points(values: Sequence[tuple[int, float | None]]) -> Points:
    return [(float(x), float(y)) for x, y in values if y is not None]
