"""The report's contact sheets of each round: what the generators drew, what was enhanced, the probes."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from loop.report.data import Distances, Round, Run
from loop.report.elements import Sheet, sheet
from loop.report.formats import num
from loop.report.templates import render

GENERATED_NOTE = "Sixteen cut-outs on a checkerboard, from the same sixteen latents in every round."
ENHANCED_NOTE = (
    "Moved in latent space to where the accepted matter is surer: before, after, its matte before and after, the "
    "label; kept pairs first."
)
PROBES_NOTE = "The same held-out pictures in every round: photo, cut-out, matte."


def generated_section(run: Run) -> Markup:
    groups = _by_domain(run, lambda round_, domain: sheet(round_.generated_sheet(domain), _drawn(round_, domain)))
    return _section("generated", "Generated cut-outs", GENERATED_NOTE, groups)


def enhanced_section(run: Run) -> Markup:
    groups = _by_domain(run, lambda round_, domain: sheet(round_.enhanced_sheet(domain), _enhanced(round_, domain)))
    return _section("enhanced", "Enhanced pictures", ENHANCED_NOTE, groups)


def probes_section(run: Run) -> Markup:
    found = [sheet(round_.probes, f"round {round_.number}") for round_ in run.rounds]
    return _section("probes", "Probes", PROBES_NOTE, [("", [each for each in found if each is not None])])


def _section(anchor: str, title: str, note: str, groups: list[tuple[str, list[Sheet]]]) -> Markup:
    if not any(sheets for _, sheets in groups):
        return Markup("")
    return render("gallery.html", anchor=anchor, title=title, note=note, groups=groups)


def _by_domain(run: Run, make: Callable[[Round, str], Sheet | None]) -> list[tuple[str, list[Sheet]]]:
    """Each domain with its sheets, round by round."""
    found = [(domain, [make(round_, domain) for round_ in run.rounds]) for domain in run.domains]
    return [(domain, [each for each in sheets if each is not None]) for domain, sheets in found]


def _drawn(round_: Round, domain: str) -> str:
    distances = round_.distances.get(domain, Distances())
    caption = f"round {round_.number}, Fréchet {num(distances.frechet)}, KID {num(distances.kid)}"
    if distances.selected == "the previous":
        caption += f"; the previous generator is selected, this round's fit is at {num(distances.fitted_frechet)}"
    return caption


def _enhanced(round_: Round, domain: str) -> str:
    sieve = round_.enhanced.get(domain)
    if sieve is None:
        return f"round {round_.number}, enhanced"
    refused = ", ".join(f"{count} {rule}" for rule, count in sieve.refused.items())
    return f"round {round_.number}, {sieve.kept} kept of {sieve.total}" + (f"; refused: {refused}" if refused else "")
