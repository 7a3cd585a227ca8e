"""The report's sections on where results come from: which matter taught what in each round, and what made the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from loop.report.data import Round, Run, Sieve
from loop.report.templates import render

LINEAGE_NOTE = (
    "Data → labels → generator → pool → pairs → fit → verdict, by the plan. The accepted matter is the teacher of the "
    "next round."
)
_SELECTED = {"this round's": " by this round's generator", "the previous": " by the previous generator"}
HEADS = ["Since", "Commit", "Versions", "GPU", "Host"]
PROVENANCE_NOTE = "What made the results, by the run's own record (provenance.jsonl): a row for each time it changed."


def lineage_section(run: Run) -> Markup:
    """A list for each round; "" before a plan was written."""
    rounds = [(round_.number, list(lineage(run, round_))) for round_ in run.rounds]
    shown = [(number, lines) for number, lines in rounds if lines]
    return render("lineage.html", note=LINEAGE_NOTE, rounds=shown) if shown else Markup("")


def lineage(run: Run, round_: Round) -> Iterator[str]:
    """A line for each domain, then one for the fit and one for the verdict."""
    here = f"{round_.number:02d}"
    for domain in run.domains:
        steps = [name for name in ("label", "fit_generator", "synthesize", "select") if _has(run, here, domain, name)]
        if steps:
            yield f"{domain}: " + " → ".join(_link(run, round_, domain, name) for name in steps)
    fit = run.inputs.get(f"{here}/fit_matter")
    if fit is not None:
        yield f"fit: the matter of round {round_.number} learned from {_taught(fit)}{_start(run, fit)}"
    verdict = round_.verdict
    if verdict is not None:
        word = "accepted" if verdict.accepted else "refused"
        tail = "" if verdict.accepted else f"; the loop goes on with the matter of round {verdict.accepted_round}"
        yield f"verdict: {word}{tail}; the best by then is that of round {verdict.best_round}"


def _has(run: Run, here: str, domain: str, stage: str) -> bool:
    return f"{here}/{domain}/{stage}" in run.inputs


def _link(run: Run, round_: Round, domain: str, stage: str) -> str:
    read = run.inputs[f"{round_.number:02d}/{domain}/{stage}"]
    if stage == "label":
        return f"photos labelled by {_matter(run, read.get('matter'))}{_kept(round_.labels.get(domain))}"
    if stage == "fit_generator":
        previous = read.get("previous")
        return f"generator fitted on them, from {f'that of round {_number(previous)}' if previous else 'its start'}"
    if stage == "synthesize":
        distances = round_.distances.get(domain)
        return f"cut-outs drawn{_SELECTED.get(distances.selected or '', '') if distances else ''}"
    return f"pairs selected by {_matter(run, read.get('matter'))}{_kept(round_.pairs.get(domain))}"


def _matter(run: Run, step: str | None) -> str:
    """The matter that a step `accept` hands on is that of the round it accepted last."""
    if step is None:
        return "no matter"
    number = _number(step)
    made = next((round_ for round_ in run.rounds if round_.number == number), None)
    if step.endswith("/accept") and made is not None and made.verdict is not None:
        return f"the matter of round {made.verdict.accepted_round}"
    return f"the matter accepted after round {number}"


def _taught(fit: Mapping[str, str]) -> str:
    """What a fit of the matter read: "the data, labels and pairs of round 1, pairs of round 2"."""
    labels = sorted({_number(step) for name, step in fit.items() if name.startswith("labels/")})
    pairs = sorted({_number(step) for name, step in fit.items() if name.startswith("pairs/")})
    parts = ["the real pairs"]
    parts += [f"the labels of {_rounds(labels)}"] if labels else []
    parts += [f"the generated pairs of {_rounds(pairs)}"] if pairs else []
    return _and(parts)


def _start(run: Run, fit: Mapping[str, str]) -> str:
    return f", from {_matter(run, fit['matter'])}" if "matter" in fit else ", from its start"


def _and(parts: list[Any]) -> str:
    words = [str(part) for part in parts]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _rounds(numbers: list[int]) -> str:
    return f"round{'s' if len(numbers) > 1 else ''} {_and(numbers)}"


def _number(step: str) -> int:
    """The round of a step's id."""
    first = step.partition("/")[0]
    return int(first) if first.isdigit() else 0


def _kept(sieve: Sieve | None) -> str:
    return f" ({sieve.kept} kept of {sieve.total})" if sieve is not None else ""


def provenance_section(run: Run) -> Markup:
    """ "" where the run was made before anything recorded it."""
    if not run.provenance:
        return Markup("")
    return render("provenance.html", note=PROVENANCE_NOTE, heads=HEADS, rows=[_made_by(row) for row in run.provenance])


def _made_by(row: Mapping[str, Any]) -> list[str]:
    packages, gpus = row.get("packages"), row.get("gpus")
    versions = [f"{name} {found}" for name, found in packages.items()] if isinstance(packages, dict) else []
    host = [str(row[name]) for name in ("host", "system") if row.get(name)]
    host += [f"{row['cpus']} cores"] if row.get("cpus") else []
    return [
        str(row.get("since") or "–"),
        str(row.get("commit") or "unknown"),
        ", ".join([*versions, *([f"Python {row['python']}"] if row.get("python") else [])]) or "–",
        "; ".join(str(gpu) for gpu in gpus) if isinstance(gpus, list) and gpus else "none",
        ", ".join(host) or "–",
    ]
