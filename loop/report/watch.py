"""The report's table of the collapse watch: diversity, alphas and agreement of each round and domain. "" when empty."""

from __future__ import annotations

from html import escape

from loop.report.data import Round, Run
from loop.report.elements import labelled, section
from loop.report.formats import num

WATCH_NOTE = (
    "What the generator drew against its training set; a threshold of watch.* stops the run. Spread is the standard "
    "deviation of thumbnails over that of real ones, near 0 where all pictures are one; at psi 1: of the same seeds "
    "untruncated. Precision, recall and coverage are in the features of round 0's matter. Of alphas: generated / "
    "real. Foreground: the matter's mean on photos / that of labelled pictures."
)
ALONE = {
    "spread": "Spread",
    "untruncated_spread": "at psi 1",
    "precision": "Precision",
    "recall": "Recall",
    "coverage": "Coverage",
}
BESIDE_REAL = {"width": "Width", "soft": "Soft share", "holes": "Holes", "area": "Area"}
LAST = {"disagreement": "Disagreement", "refused": "Refused"}
HEADS = (*ALONE.values(), *BESIDE_REAL.values(), *LAST.values(), "Foreground", "Confidence")


def watch_section(run: Run) -> str:
    """A row for each round and domain that was watched."""
    rows = [
        f"<tr>{labelled(_cells(round_, domain), ('Round', 'Domain', *HEADS))}</tr>"
        for round_ in run.rounds
        for domain in run.domains
        if domain in round_.watch
    ]
    if not rows:
        return ""
    head = "<th>Round</th><th>Domain</th>" + "".join(f'<th class="n">{name}</th>' for name in HEADS)
    whole = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    table = f'<div class="scroll"><table class="stack">{whole}</table></div>'
    return section("watch", "Collapse watch", WATCH_NOTE, table)


def _cells(round_: Round, domain: str) -> list[str]:
    values = round_.watch[domain]
    cells = [num(values.get(name)) for name in ALONE]
    cells += [_pair(values.get(name), values.get(f"real_{name}")) for name in BESIDE_REAL]
    cells += [num(values.get(name)) for name in LAST]
    cells += [_pair(values.get("foreground"), values.get("true_foreground")), num(values.get("confidence"))]
    left = [f'<td class="r">{round_.number}</td>', f"<td>{escape(domain)}</td>"]
    return left + [f'<td class="n">{cell}</td>' for cell in cells]


def _pair(one: float | None, other: float | None) -> str:
    return f"{num(one)} / {num(other)}"
