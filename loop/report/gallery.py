"""The report's pictures: what the generators drew, which pairs were kept, where the matter fails, the probes."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from loop.report.data import Distances, Picture, Round, Run
from loop.report.elements import section, sheet, tile
from loop.report.formats import num

WORST = 8
GENERATED_NOTE = "Sixteen cut-outs on a checkerboard, from the same sixteen latents in every round."
ENHANCED_NOTE = (
    "Moved in latent space to where the accepted matter is surer: before, after, its matte before and after, the "
    "label; kept pairs first."
)
WORST_NOTE = f"The {WORST} held-out pictures of each domain with the highest SAD. Means are ruled by a few of these."
PROBES_NOTE = "The same held-out pictures in every round: photo, cut-out, matte."


def generated_section(run: Run) -> str:
    body = _by_domain(run, lambda round_, domain: sheet(round_.generated_sheet(domain), _drawn(round_, domain)))
    return section("generated", "Generated cut-outs", GENERATED_NOTE, body) if body else ""


def enhanced_section(run: Run) -> str:
    body = _by_domain(run, lambda round_, domain: sheet(round_.enhanced_sheet(domain), _enhanced(round_, domain)))
    return section("enhanced", "Enhanced pictures", ENHANCED_NOTE, body) if body else ""


def worst_section(run: Run) -> str:
    """The worst mattes of the accepted round, and of the newest one when that is another."""
    newest = next((round_ for round_ in reversed(run.rounds) if round_.pictures), None)
    shown = {round_.number: round_ for round_ in (run.accepted, newest) if round_ is not None}
    parts = []
    for index, round_ in enumerate(shown.values()):
        body = _worst(run, round_)
        mark = " open" if index == 0 else ""
        which = " (best)" if run.best is round_ else " (newest)"
        parts.append(f"<details{mark}><summary>round {round_.number}{which}</summary>{body}</details>" if body else "")
    return section("worst", "Worst held-out mattes", WORST_NOTE, "".join(parts)) if any(parts) else ""


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
    return f"round {round_.number}, " + (f"{sieve.kept} kept of {sieve.total}" if sieve else "enhanced")


def _worst(run: Run, round_: Round) -> str:
    parts = []
    for domain in run.domains:
        here = sorted((each for each in round_.pictures if each.domain == domain), key=lambda each: -each.sad)[:WORST]
        cards = "".join(_card(each) for each in here)
        parts.append(f'<h3>{escape(domain)}</h3><div class="cards">{cards}</div>' if cards else "")
    return "".join(parts)


def _card(picture: Picture) -> str:
    shown = ("photo", picture.photo), ("truth", picture.truth), ("prediction", picture.prediction)
    tiles = "".join(tile(path, name) for name, path in shown)
    text = f"<b>SAD {num(picture.sad)}</b> · all-zero {num(picture.zero_sad)}"
    return (
        f'<div class="card"><div class="three">{tiles}</div>{text}'
        f'<div class="id">{escape(picture.id)} · truth: {escape(picture.kind)}</div></div>'
    )
