"""The top of the report: the state of the run in a few sentences, and each domain's gain over the control."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from loop.report.data import Round, Run
from loop.report.figures import change_figures, figure, folder, stage
from loop.report.gain import NO_CONTROL, shown
from loop.report.templates import render


def lead(run: Run) -> Markup:
    """The page in a few sentences."""
    accepted, best, decided = run.accepted, run.best, len(run.decided)
    total = max(run.planned + 1, decided)
    return render(
        "lead.html",
        state="finished" if decided >= total else f"in progress, {decided} of {total} rounds decided",
        best=best.number if accepted is not None and best is not None else None,
        accepted=accepted.number if accepted is not None else None,
        refused=[round_.number for round_ in run.decided if not round_.accepted],
        # said where it is so: rounds with pairs, and nothing to compare them with
        no_control="" if run.has_control or not run.planned else f"{NO_CONTROL[:1].upper()}{NO_CONTROL[1:]}.",
    )


def tiles(run: Run) -> Markup:
    """Held-out SAD of the best matter in each domain, against the control, round 0 and the floors."""
    best = run.best
    if best is None:
        return Markup("")
    cards = [_card(run, best, index, domain) for index, domain in enumerate(run.domains) if domain in best.scores]
    return render("tiles.html", cards=cards)


def _card(run: Run, best: Round, index: int, domain: str) -> dict[str, Any]:
    score, file = best.scores[domain], stage(best.number, "evaluate")

    def read(name: str) -> Any:
        return figure(score.get(name), file, f"metrics/{domain}/{name}")

    return {
        "colour": index % 6,
        "domain": domain,
        "sad": read("SAD"),
        "zero": read("zero_SAD"),
        "constant": read("constant_SAD"),
        "pictures": figure(score.pictures, file, f"metrics/{domain}/n"),
        "kind": score.kind or "alpha",
        "control": _against_control(run, domain),
        "waits": run.has_control and bool(run.planned),
        "first": _against_first(best, domain),
    }


def _against_control(run: Run, domain: str) -> dict[str, Any] | None:
    """The gain over the control with its interval; None where there is none to tell."""
    compared = run.compared
    control = compared.control if compared else None
    gain = control.gains.get(domain) if control else None
    if compared is None or control is None or gain is None:
        return None
    file = f"{folder(compared.number, 'control/compare')}/gain.json"
    return {
        "change": change_figures(gain.change, file, f"gain/{domain}"),
        "shown": shown(gain.change),
        "round": figure(control.control_round, file, "control_round"),
        "sad": figure(gain.control_sad, file, f"gain/{domain}/mean_best"),
        "late": compared.number if compared is not run.decided[-1] else None,
    }


def _against_first(best: Round, domain: str) -> Any:
    changes = best.verdict.changes if best.verdict is not None else {}
    change = changes.get(domain, {}).get("vs_first")
    if change is None or best.number == 0:
        return None
    return change_figures(change, f"{folder(best.number, 'accept')}/verdict.json", f"intervals/{domain}/vs_first")
