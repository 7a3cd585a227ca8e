"""The report's pairs: of each round some that `select` kept and some that it refused, with their alpha and the reason.

Kept pairs are shown from the one the matter agrees with most to the one it agrees with least; of the refused every
rule has its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from loop.report.data import Round, Run
from loop.report.elements import Tile, sheet
from loop.report.embed import cutout_uris
from loop.report.figures import Figure, figure, folder, kept_of
from loop.report.templates import render
from stylematte.jsonl import read_jsonl

SHOWN = 6  # kept ones, and refused ones, of a round and domain
ROUNDS = 6  # the newest ones
WIDE = 160  # pixels
PAIRS_NOTE = (
    "What the matter learns from besides real pictures, and what was kept from it: the cut-out, its alpha and the "
    "reason. Kept: evenly from the least to the greatest disagreement with the accepted matter. Refused: each rule in "
    f"turn. The newest {ROUNDS} rounds."
)


class Candidate(NamedTuple):
    """A generated cut-out that `select` has judged; its file may be missing."""

    rgba: Path
    reason: str
    """Why it was refused; of a kept one "disagreement"."""
    id: str
    disagreement: float | None = None
    """Of a kept one."""


def pairs_section(run: Run) -> Markup:
    """For each domain its rounds, the newest first and unfolded."""
    domains = []
    for domain in run.domains:
        here = [round_ for round_ in run.rounds if domain in round_.pairs][-ROUNDS:]
        domains.append((domain, [_round(run, round_, domain) for round_ in reversed(here)]))
    if not any(rounds for _, rounds in domains):
        return Markup("")
    return render("pairs.html", note=PAIRS_NOTE, domains=domains)


def candidates(run: Run, round_: Round, domain: str) -> tuple[list[Candidate], list[Candidate]]:
    """Up to SHOWN kept ones and SHOWN refused ones. A kept one lies in `select`, a refused one in the pool it read."""
    here = round_.folder / domain
    rows = [row for row in read_jsonl(here / "select/index.jsonl", growing=True) if row.get("rgba")]
    made = run.inputs.get(f"{round_.number:02d}/{domain}/select", {}).get("pool", "synthesize")
    pool = here / made.rpartition("/")[2]
    kept = sorted((row for row in rows if row.get("kept")), key=_disagreement)
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if not row.get("kept"):
            by_rule.setdefault(str(row.get("rule")), []).append(row)
    refused = [row for row in chain.from_iterable(zip_longest(*by_rule.values())) if row is not None]
    return (
        [_candidate(here / "select", row, "disagreement", row.get("disagreement")) for row in _spread(kept)],
        [_candidate(pool, row, str(row.get("reason") or "no reason given")) for row in refused[:SHOWN]],
    )


def _candidate(folder: Path, row: dict[str, Any], reason: str, disagreement: float | None = None) -> Candidate:
    return Candidate(folder / str(row["rgba"]), reason, str(row.get("id", "")), disagreement)


def _spread(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """SHOWN of them at equal distances, the first and the last among them."""
    if len(rows) <= SHOWN:
        return list(rows)
    return [rows[round(k * (len(rows) - 1) / (SHOWN - 1))] for k in range(SHOWN)]


def _disagreement(row: dict[str, Any]) -> float:
    found = row.get("disagreement")
    return float(found) if isinstance(found, (int, float)) else 1.0


def _round(run: Run, round_: Round, domain: str) -> dict[str, Any]:
    sieve, (kept, refused) = round_.pairs[domain], candidates(run, round_, domain)
    index = f"{folder(round_.number, f'{domain}/select')}/index.jsonl"
    groups = ("kept", "yes", sieve.kept, kept), ("refused", "no", sieve.total - sieve.kept, refused)
    return {
        "number": round_.number,
        "counts": kept_of(sieve, round_.number, f"{domain}/select"),
        "sheet": sheet(round_.kept_sheet(domain), "kept pairs on backgrounds, as the matter sees them"),
        "groups": [
            {"word": word, "style": style, "count": count, "cards": [_card(each, index) for each in shown]}
            for word, style, count, shown in groups
            if shown
        ],
    }


def _card(each: Candidate, index: str) -> dict[str, Any]:
    uris = cutout_uris(each.rgba, WIDE) or (None, None)
    value: Figure | None = None
    if each.disagreement is not None:
        value = figure(each.disagreement, index, f"{each.id}:disagreement")
    tiles = [Tile(uri, name) for uri, name in zip(uris, ("cut-out", "alpha"), strict=True)]
    return {"tiles": tiles, "reason": each.reason, "value": value, "id": each.id}
