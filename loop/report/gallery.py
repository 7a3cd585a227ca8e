"""The report's pictures: what the generators drew, which pairs were kept, where the matter fails, the probes."""

from __future__ import annotations

from html import escape

from loop.report.data import Json, Round, Run
from loop.report.page import num, section
from loop.report.pictures import sheet, tile
from stylematte.jsonl import read_jsonl

WORST = 8
SHOWN = ("photo", "truth", "prediction")


def generated_section(run: Run) -> str:
    parts = []
    for domain in run.domains:
        strips = "".join(_judged_sheet(round_, domain) for round_ in run.rounds)
        parts.append(f'<h3>{escape(domain)}</h3><div class="sheets">{strips}</div>' if strips else "")
    note = "Sixteen cut-outs on a checkerboard, from the same sixteen latents in every round."
    return section("generated", "Generated cut-outs", note, "".join(parts)) if any(parts) else ""


def kept_section(run: Run) -> str:
    parts = []
    for domain in run.domains:
        strips = "".join(
            sheet(round_.folder / domain / "select" / "sheet.png", f"round {round_.number}, {_kept(round_, domain)}")
            for round_ in run.rounds
        )
        parts.append(f'<h3>{escape(domain)}</h3><div class="sheets">{strips}</div>' if strips else "")
    note = (
        "Generated pairs that passed the selection, put on backgrounds: what the matter learns from besides real ones."
    )
    return section("kept", "Kept pairs", note, "".join(parts)) if any(parts) else ""


def worst_section(run: Run) -> str:
    """The worst mattes of the accepted round, and of the newest one when that is another."""
    scored = [round_ for round_ in run.rounds if (round_.folder / "evaluate" / "per_picture.jsonl").is_file()]
    shown = list(dict.fromkeys(r.number for r in (run.accepted, scored[-1] if scored else None) if r in scored and r))
    parts = []
    for place, number in enumerate(shown):
        round_ = next(r for r in scored if r.number == number)
        body = _worst(run, round_)
        mark = " open" if place == 0 else ""
        force = " (current)" if run.accepted is round_ else " (newest)"
        parts.append(f"<details{mark}><summary>round {number}{force}</summary>{body}</details>" if body else "")
    note = f"The {WORST} held-out pictures of each domain with the highest SAD. Means are ruled by a few of these."
    return section("worst", "Worst held-out mattes", note, "".join(parts)) if any(parts) else ""


def probes_section(run: Run) -> str:
    strips = "".join(
        sheet(round_.folder / "evaluate" / "probes.png", f"round {round_.number}") for round_ in run.rounds
    )
    note = "The same held-out pictures in every round: photo, cut-out, matte."
    return section("probes", "Probes", note, f'<div class="sheets">{strips}</div>') if strips else ""


def _judged_sheet(round_: Round, domain: str) -> str:
    judged = round_.judged.get(domain, {})
    caption = f"round {round_.number}, Fréchet {num(judged.get('frechet'))}, KID {num(judged.get('kid'))}"
    if judged.get("stands") == "the former":
        caption += f"; the former generator stands, this round's fit is at {num(judged.get('fitted_frechet'))}"
    return sheet(round_.folder / domain / "select_generator" / "sheet.png", caption)


def _kept(round_: Round, domain: str) -> str:
    sieve = round_.pairs.get(domain)
    return f"{sieve.kept} kept of {sieve.kept + sum(sieve.refused.values())}" if sieve else "kept pairs"


def _worst(run: Run, round_: Round) -> str:
    rows = [
        r
        for r in read_jsonl(round_.folder / "evaluate" / "per_picture.jsonl", growing=True)
        if isinstance(r.get("SAD"), float | int)
    ]
    parts = []
    for domain in run.domains:
        here = sorted((r for r in rows if r.get("domain") == domain), key=lambda r: -float(r["SAD"]))[:WORST]
        cards = "".join(_card(round_, row) for row in here)
        parts.append(f'<h3>{escape(domain)}</h3><div class="cards">{cards}</div>' if cards else "")
    return "".join(parts)


def _card(round_: Round, row: Json) -> str:
    evaluated = round_.folder / "evaluate"
    pictures = [tile(evaluated / row[kind] if row.get(kind) else None, kind) for kind in SHOWN]
    text = f"<b>SAD {num(row['SAD'])}</b> · all-zero {num(row.get('zero_SAD'))}"
    return (
        f'<div class="card"><div class="three">{"".join(pictures)}</div>{text}'
        f'<div class="id">{escape(str(row.get("id", "")))} · truth: {escape(str(row.get("kind", "")))}</div></div>'
    )
