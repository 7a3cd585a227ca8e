"""The report's templates: HTML, CSS and JavaScript in templates/, filled by jinja2 with every value escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).with_name("templates")


def render(name: str, **values: Any) -> Markup:
    """The template of that name as safe HTML; a value that is missing raises jinja2.UndefinedError."""
    return Markup(_environment().get_template(name).render(values).strip())


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals["source"] = source
    return found


def source(name: str) -> Markup:
    """A file that goes into a page as it is: the report's style.css or hover.js."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
