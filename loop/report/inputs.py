"""The report's sections on what went in: pictures used and left out, cut-outs kept and refused, the configuration."""

from __future__ import annotations

from html import escape

from loop.report.data import Run, Sieve
from loop.report.elements import labelled, section, table
from loop.report.formats import num

SIEVE_HEADS = ("Round", "Domain", "Sieve", "Kept", "", "Refused, by reason")
MOST_LEFT_OUT = 200  # files named on the page


def data_section(run: Run) -> str:
    """Pictures per domain, kind and split; what was left out and why; what labelling and selection refused."""
    rows = [
        [domain, kind, *(num(splits.get(split, 0)) for split in ("train", "heldout"))]
        for domain, kinds in run.counts.items()
        for kind, splits in kinds.items()
    ]
    parts = [table(["Domain", "Kind", "Train", "Held out"], rows)] if rows else []
    if run.left_out:
        parts.append(_left_out(run))
    elif rows:
        parts.append('<p class="soft">No picture was left out.</p>')
    parts.append(_sieves(run))
    return section("data", "Data", "", "".join(parts)) if any(parts) else ""


def _left_out(run: Run) -> str:
    some = [[each.file, each.reason] for each in run.left_out[:MOST_LEFT_OUT]]
    more = f" (the first {len(some)})" if len(some) < len(run.left_out) else ""
    head = f"<summary>Left out: {len(run.left_out)}{more}</summary>"
    return f"<details>{head}{table(['File', 'Reason'], some)}</details>"


def _sieves(run: Run) -> str:
    rows = [
        _sieve_row(round_.number, stage, domain, sieve)
        for round_ in run.rounds
        for stage, sieves in (
            ("labels", round_.labels),
            ("refined cut-outs", round_.refined),
            ("pairs", round_.pairs),
            ("enhanced", round_.enhanced),
        )
        for domain, sieve in sieves.items()
    ]
    if not rows:
        return ""
    heads = "".join(f"<th>{name}</th>" for name in SIEVE_HEADS)
    return f'<h3>Kept and refused</h3><table class="stack"><thead><tr>{heads}</tr></thead>{"".join(rows)}</table>'


def _sieve_row(number: int, stage: str, domain: str, sieve: Sieve) -> str:
    share = 100 * sieve.kept / (sieve.total or 1)
    why = ", ".join(f"{escape(rule)} {count}" for rule, count in sieve.refused.items()) or "none"
    bar = f'<div class="bar"><i style="width:{share:.1f}%"></i><i class="rest" style="flex:1"></i></div>'
    cells = (str(number), escape(domain), stage, f"{sieve.kept} of {sieve.total}", bar, why)
    return f"<tr>{labelled([f'<td>{cell}</td>' for cell in cells], SIEVE_HEADS)}</tr>"


def config_section(run: Run) -> str:
    """config.yaml, folded."""
    if not run.config_text:
        return ""
    body = f"<details><summary>config.yaml, as resolved</summary><pre>{escape(run.config_text)}</pre></details>"
    return section("config", "Configuration", "", body)
