"""The report's contact sheets of each round: what the generators drew, what was enhanced, the probes."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from loop.report.data import Distances, Round, Run
from loop.report.elements import section, sheet
from loop.report.formats import num

GENERATED_NOTE = "Sixteen cut-outs on a checkerboard, from the same sixteen latents in every round."
ENHANCED_NOTE = (
    "Moved in latent space to where the accepted matter is surer: before, after, its matte before and after, the "
    "label; kept pairs first."
)
PROBES_NOTE = "The same held-out pictures in every round: photo, cut-out, matte."


def generated_section(run: Run) -> str:
    body = _by_domain(run, lambda round_, domain: sheet(round_.generated_sheet(domain), _drawn(round_, domain)))
    return section("generated", "Generated cut-outs", GENERATED_NOTE, body) if body else ""


def enhanced_section(run: Run) -> str:
    body = _by_domain(run, lambda round_, domain: sheet(round_.enhanced_sheet(domain), _enhanced(round_, domain)))
    return section("enhanced", "Enhanced pictures", ENHANCED_NOTE, body) if body else ""


def probes_section(run: Run) -> str:
    strips = "".join(sheet(round_.probes, f"round {round_.number}") for round_ in run.rounds)
    return section("probes", "Probes", PROBES_NOTE, f'<div class="sheets">{strips}</div>') if strips else ""


def _by_domain(run: Run, make: Callable[[Round, str], str]) -> str:
    """A heading for each domain with its sheets, round by round; domains without any are left out."""
    parts = []
    for domain in run.domains:
        strips = "".join(make(round_, domain) for round_ in run.rounds)
        parts.append(f'<h3>{escape(domain)}</h3><div class="sheets">{strips}</div>' if strips else "")
    return "".join(parts)


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
