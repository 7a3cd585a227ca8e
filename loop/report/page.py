"""The report's sections of numbers: rounds, verdicts, curves, data, time. Each makes HTML of a Run, "" when empty."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from loop.report.charts import Line, Span, interval_chart, legend, line_chart
from loop.report.data import FIGURES, Round, Run, Sifted


def lead(run: Run) -> str:
    """The page in two sentences."""
    force, judged = run.accepted, len(run.judged_rounds)
    total = max(run.planned + 1, judged)
    state = "finished" if judged >= total else f"in progress, {judged} of {total} rounds judged"
    if force is None:
        return f"The run is {state}. No matter has been accepted yet."
    refused = [str(r.number) for r in run.judged_rounds if not (r.verdict or {}).get("accepted")]
    tail = f" Refused: round {', '.join(refused)}." if refused else ""
    return f"The run is {state}. The accepted matter is that of <b>round {force.number}</b>.{tail}"


def tiles(run: Run) -> str:
    """One headline number per domain: held-out SAD of the accepted matter, against round 0 and the floors."""
    force = run.accepted
    if force is None:
        return ""
    cards = []
    for place, domain in enumerate(run.domains):
        score = force.scores.get(domain)
        if not score:
            continue
        moved = _vs_first(force, domain)
        floors = f"all-zero matte {num(score.get('zero_SAD'))}, best constant {num(score.get('constant_SAD'))}"
        measured = f"{score.get('n', '?')} held-out pictures, truth: {escape(str(score.get('kind', 'alpha')))}"
        cards.append(
            f'<div class="kpi c{place % 6}"><small>{escape(domain)}</small>'
            f"<b>{num(score.get('SAD'))} <span>SAD</span></b>{moved}<small>{floors}<br>{measured}</small></div>"
        )
    return f'<div class="tiles">{"".join(cards)}</div>'


def rounds_section(run: Run) -> str:
    """Every figure of every round and domain, what the generator and the selection did, and the verdict."""
    heads = ["Round", "Domain", *FIGURES, "Fréchet", "KID", "Labels kept", "Pairs kept", "Verdict"]
    numeric = {*FIGURES, "Fréchet", "KID", "Labels kept", "Pairs kept"}
    head = "".join(f'<th class="n">{name}</th>' if name in numeric else f"<th>{name}</th>" for name in heads)
    bodies = "".join(_round_body(run, round_) for round_ in run.rounds)
    note = (
        "Means over held-out pictures by the P3M protocol, lower is better; bold is the best accepted value. Conn "
        "of an empty matte is 0, so it never decides. Fréchet and KID compare generated cut-outs with the generator's "
        "training set in the features of round 0's matter: comparable within this run only."
    )
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{bodies}{_floors(run)}</table></div>'
    return section("rounds", "Rounds", note, table + _trends(run))


def verdicts_section(run: Run) -> str:
    """Why each round was accepted or refused, with the intervals the decision rests on."""
    limit = (run.config.get("accept") or {}).get("margin")
    parts = []
    for round_ in run.judged_rounds:
        verdict = round_.verdict or {}
        spans = [
            Span(f"{domain} {name.replace('_', ' ')}", change["low"], change["relative_change"], change["high"], place)
            for place, domain in enumerate(run.domains)
            for name, change in ((verdict.get("intervals") or {}).get(domain) or {}).items()
            if isinstance(change, dict) and {"low", "relative_change", "high"} <= change.keys()
        ]
        parts.append(f"<h3>Round {round_.number} {tag(verdict)}</h3><p>{_why(verdict)}</p>")
        parts.append(interval_chart("relative change of mean SAD", spans, limit))
    note = (
        "Pictures are resampled in pairs; the interval, not the mean, decides. Left of the solid line is better. The "
        "upper end may not pass the dashed line (accept.margin), against the best matter so far and against round 0's."
    )
    return section("verdicts", "Verdicts", note, "".join(parts)) if parts else ""


def curves_section(run: Run) -> str:
    """Small multiples: one chart per logged number of each fit, the rounds laid over each other."""
    parts = []
    for fit, by_round in sorted(run.curves.items()):
        names = sorted(
            {name for metrics in by_round.values() for name in metrics} - {"epoch"},
            key=lambda name: ("loss" not in name.lower(), name),
        )
        charts = "".join(
            line_chart(name, [Line(f"round {r}", metrics.get(name, []), r) for r, metrics in sorted(by_round.items())])
            for name in names[:18]
        )
        keys = legend([(f"round {r}", r, False) for r in sorted(by_round)])
        parts.append(f'<h3>{escape(fit)}</h3>{keys}<div class="charts">{charts}</div>')
    stopped = [(f"{r.number:02d}/{step}", why) for r in run.rounds for step, why in r.stopped.items()]
    parts += [f'<p><span class="tag no">stopped</span> {escape(s)}: {escape(why)}</p>' for s, why in stopped]
    return section("curves", "Fits", "What each fit logged, by optimizer step.", "".join(parts)) if parts else ""


def data_section(run: Run) -> str:
    """Pictures per domain, kind and split; what was left out and why; what labelling and selection refused."""
    rows = [
        [domain, kind, *(num(splits.get(split, 0)) for split in ("train", "heldout"))]
        for domain, kinds in run.counts.items()
        for kind, splits in kinds.items()
    ]
    parts = [table(["Domain", "Kind", "Train", "Held out"], rows)] if rows else []
    if run.left_out:
        some = [[str(row.get("file", "")), str(row.get("reason", ""))] for row in run.left_out[:200]]
        more = f" (the first {len(some)})" if len(some) < len(run.left_out) else ""
        head = f"<summary>Left out: {len(run.left_out)}{more}</summary>"
        parts.append(f"<details>{head}{table(['File', 'Reason'], some)}</details>")
    elif rows:
        parts.append('<p class="soft">No picture was left out.</p>')
    sifting = [_sifting_row(r, stage, d, s) for r in run.rounds for stage, all_ in _sieves(r) for d, s in all_.items()]
    if sifting:
        heads = "".join(f"<th>{name}</th>" for name in ("Round", "Domain", "Sieve", "Kept", "", "Refused, by reason"))
        parts.append(f"<h3>Kept and refused</h3><table><thead><tr>{heads}</tr></thead>{''.join(sifting)}</table>")
    return section("data", "Data", "", "".join(parts)) if parts else ""


def timing_section(run: Run) -> str:
    """Seconds of each finished step."""
    steps = [(f"{r.number:02d}/{step}", seconds) for r in run.rounds for step, seconds in sorted(r.seconds.items())]
    if not steps:
        return ""
    longest, total = max(s for _, s in steps) or 1.0, sum(s for _, s in steps)
    body = "".join(
        f'<tr><td>{escape(step)}</td><td class="n">{clock(seconds)}</td>'
        f'<td class="wide"><div class="bar"><i class="time" style="width:{seconds / longest:.1%}"></i></div></td></tr>'
        for step, seconds in steps
    )
    return section("time", "Time", f"{clock(total)} in {len(steps)} finished steps.", f"<table>{body}</table>")


def config_section(run: Run) -> str:
    if not run.config_text:
        return ""
    body = f"<details><summary>config.yaml, as resolved</summary><pre>{escape(run.config_text)}</pre></details>"
    return section("config", "Configuration", "", body)


def section(anchor: str, title: str, note: str, body: str) -> str:
    small = f'<p class="soft">{note}</p>' if note else ""
    return f'<section id="{anchor}"><h2>{title}</h2>{small}{body}</section>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text cells, escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>{body}</table>"


def num(value: Any) -> str:
    """A number for reading; a dash when there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–"
    if isinstance(value, int):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.4g}"
    return f"{value:.3f}" if abs(value) >= 1 else f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.5f}"


def signed(share: float) -> str:
    """A relative change in percent, with a real minus sign."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {int(seconds) % 60:02d} s"


def tag(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return '<span class="tag">not judged yet</span>'
    return '<span class="tag yes">accepted</span>' if verdict.get("accepted") else '<span class="tag no">refused</span>'


def _vs_first(force: Round, domain: str) -> str:
    change = (((force.verdict or {}).get("intervals") or {}).get(domain) or {}).get("vs_first")
    if not isinstance(change, dict) or force.number == 0:
        return "<div>round 0: real pairs alone</div>"
    value, low, high = (signed(change[key]) for key in ("relative_change", "low", "high"))
    return f"<div><b style='font-size:15px;display:inline'>{value}</b> against round 0 (interval {low} to {high})</div>"


def _round_body(run: Run, round_: Round) -> str:
    lines, span = [], len(run.domains) or 1
    force = run.accepted is round_
    why = _why(round_.verdict)
    for place, domain in enumerate(run.domains):
        score, judged = round_.scores.get(domain, {}), round_.judged.get(domain, {})
        cells = [f"<td>{escape(domain)}</td>"]
        for name in FIGURES:
            text = num(score.get(name))
            best = score.get(name) is not None and score.get(name) == _best(run, domain, name)
            cells.append(f'<td class="n">{f"<b>{text}</b>" if best else text}</td>')
        cells += [f'<td class="n">{num(judged.get(name))}</td>' for name in ("frechet", "kid")]
        cells += [f'<td class="n">{_kept(sieve.get(domain))}</td>' for sieve in (round_.labels, round_.pairs)]
        if place == 0:
            mark = "<small>current</small>" if force else ""
            cells.insert(0, f'<td rowspan="{span}" class="r"><b>{round_.number}</b>{mark}</td>')
            cells.append(f'<td rowspan="{span}" class="why">{tag(round_.verdict)}<br>{why}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<tbody class="round{" force" if force else ""}">{"".join(lines)}</tbody>'


def _why(verdict: dict[str, Any] | None) -> str:
    """The reason without its first word: the coloured tag beside it says that."""
    reason = str((verdict or {}).get("reason", ""))
    for word in ("Accepted: ", "Refused: "):
        if reason.startswith(word):
            reason = reason[len(word) :]
    return escape(reason[:1].upper() + reason[1:])


def _best(run: Run, domain: str, name: str) -> float | None:
    accepted = [r.scores.get(domain, {}).get(name) for r in run.judged_rounds if (r.verdict or {}).get("accepted")]
    values = [value for value in accepted if isinstance(value, (int, float))]
    return min(values) if len(values) > 1 else None


def _kept(sieve: Sifted | None) -> str:
    return "–" if sieve is None else f"{sieve.kept} of {sieve.kept + sum(sieve.refused.values())}"


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
    """Each figure by round, one line a domain. The floor is drawn where it does not flatten the curves."""
    charts = []
    for name, source in (*((figure, "scores") for figure in FIGURES), ("frechet", "judged")):
        lines = []
        for place, domain in enumerate(run.domains):
            known = [(r.number, getattr(r, source).get(domain, {})) for r in run.rounds]
            points = _points(known, name)
            floor = _points(known, "constant_SAD") if name == "SAD" else []
            lines.append(Line(domain, points, place))
            if points and floor and floor[0][1] < 2 * max(y for _, y in points):
                lines.append(Line(f"{domain}, best constant matte", floor, place, dashed=True))
        title = "Fréchet, generated" if name == "frechet" else f"{name}, held out"
        charts.append(line_chart(title, lines, dots=True))
    if not any(charts):
        return ""
    keys = legend([(domain, place, False) for place, domain in enumerate(run.domains)])
    return f'<h3>By round</h3>{keys}<div class="charts">{"".join(charts)}</div>'


def _points(known: Sequence[tuple[int, dict[str, Any]]], name: str) -> list[tuple[float, float]]:
    return [(float(n), float(found[name])) for n, found in known if isinstance(found.get(name), (int, float))]


def _sieves(round_: Round) -> list[tuple[str, dict[str, Sifted]]]:
    return [("labels", round_.labels), ("pairs", round_.pairs)]


def _sifting_row(round_: Round, stage: str, domain: str, sieve: Sifted) -> str:
    refused = sum(sieve.refused.values())
    share = 100 * sieve.kept / ((sieve.kept + refused) or 1)
    why = ", ".join(f"{escape(rule)} {count}" for rule, count in sieve.refused.items()) or "none"
    bar = f'<div class="bar"><i style="width:{share:.1f}%"></i><i class="rest" style="flex:1"></i></div>'
    kept = f"{sieve.kept} of {sieve.kept + refused}"
    cells = (str(round_.number), escape(domain), stage, kept, bar, why)
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
