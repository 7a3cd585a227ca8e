"""Two runs on one page (`report --compare RUN1 RUN2`): final SAD by domain, rounds side by side, keys that differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from loop.report import headline
from loop.report.data import Round, Run
from loop.report.formats import num, signed
from loop.report.read import read_run
from loop.report.templates import render
from stylematte.atomic import replace_file

FINAL_NOTE = (
    "Mean SAD of the best matter of each run over its own held-out pictures, lower is better. No interval: the two "
    "were not compared picture by picture; a difference means little where the numbers of pictures differ or are small."
)
CONFIG_NOTE = "Configuration keys of which the values differ."


def build_comparison(one: Path, two: Path, out: Path) -> Path:
    """Write the page to `out` and return it. Raises ValueError where either is no run."""
    runs = read_run(Path(one)), read_run(Path(two))
    names = [run.name for run in runs]
    if names[0] == names[1]:
        names = [str(one), str(two)]
    body = final_section(*runs, names) + rounds_section(*runs, names) + config_section(*runs, names)
    leads = [(name, headline.lead(run)) for name, run in zip(names, runs, strict=True)]
    links = [("final", "Final"), ("rounds", "Rounds"), ("config", "Configuration")]
    lead = render("leads.html", leads=leads)
    replace_file(out, render("page.html", title=" and ".join(names), lead=lead, links=links, body=body))
    return out


def final_section(one: Run, two: Run, names: list[str]) -> Markup:
    """A row for each domain of either: SAD and pictures of both, and the change from the first to the second."""
    heads = ["Domain", f"SAD, {names[0]}", f"SAD, {names[1]}", "Difference", "Change", "Pictures"]
    rows = [final_row(one, two, domain) for domain in dict.fromkeys([*one.domains, *two.domains])]
    return _table("final", "Final SAD", FINAL_NOTE, heads, rows)


def final_row(one: Run, two: Run, domain: str) -> list[str]:
    scores = [run.best.scores.get(domain) if run.best else None for run in (one, two)]
    sads = [score.get("SAD") if score else None for score in scores]
    first, second = sads
    moved = ["–", "–"]
    if first is not None and second is not None:
        moved[0] = f"{second - first:+.4f}".replace("-", "−")
        moved[1] = signed(second / first - 1) if first else "–"
    pictures = " and ".join(num(score.pictures) if score else "–" for score in scores)
    return [domain, num(first), num(second), *moved, pictures]


def rounds_section(one: Run, two: Run, names: list[str]) -> Markup:
    """SAD and pairs kept of each round and domain, the two runs side by side."""
    heads = ["Round", "Domain", *(f"{what}, {name}" for name in names for what in ("SAD", "pairs kept", "verdict"))]
    numbers = sorted({round_.number for run in (one, two) for round_ in run.rounds})
    domains = list(dict.fromkeys([*one.domains, *two.domains]))
    found = [{round_.number: round_ for round_ in run.rounds} for run in (one, two)]
    rows = [
        [str(number), domain, *(cell for rounds in found for cell in _cells(rounds.get(number), domain))]
        for number in numbers
        for domain in domains
    ]
    return _table("rounds", "Rounds", "", heads, rows)


def _cells(round_: Round | None, domain: str) -> list[str]:
    if round_ is None:
        return ["–"] * 3
    score, pairs = round_.scores.get(domain), round_.pairs.get(domain)
    verdict = "–" if round_.verdict is None else "accepted" if round_.accepted else "refused"
    return [
        num(score.get("SAD") if score else None),
        f"{pairs.kept} of {pairs.total}" if pairs else "–",
        verdict,
    ]


def config_section(one: Run, two: Run, names: list[str]) -> Markup:
    rows = [list(row) for row in config_differences(one.config_text, two.config_text)]
    return _table("config", "Configuration", CONFIG_NOTE, ["Key", *names], rows)


def _table(anchor: str, title: str, note: str, heads: list[str], rows: list[list[str]]) -> Markup:
    """A section of one table; without a row it says that nothing differs."""
    return render("compare.html", anchor=anchor, title=title, note=note, heads=heads, rows=rows)


def config_differences(one: str, two: str) -> list[tuple[str, str, str]]:
    """(dotted key, value in the first, value in the second) of two YAML texts, by key; "–" where one has none."""
    first, second = dict(_flat(_read(one))), dict(_flat(_read(two)))
    keys = sorted({*first, *second})
    return [(key, first.get(key, "–"), second.get(key, "–")) for key in keys if first.get(key) != second.get(key)]


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return {}


def _flat(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Leaves as (dotted key, text)."""
    if isinstance(values, dict) and (values or not path):
        for key, value in values.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, yaml.safe_dump(values, default_flow_style=True, width=1000).removesuffix("...\n").strip()
