"""Every figure of a report page held to the record in the run folder that it names, read without the report's code."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple


class Shown(NamedTuple):
    """A `<data>` of the page, or a curve: text is then its y values, x its x values."""

    text: str
    value: str
    file: str
    key: str
    x: str = ""


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.figures: list[Shown] = []
        self.curves: list[Shown] = []
        self.bare: list[str] = []
        self._open: dict[str, str | None] | None = None
        self._numeric = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "data":
            self._open = found
        elif tag == "polyline" and "data-file" in found:
            self.curves.append(Shown(*(str(found[f"data-{name}"]) for name in ("y", "x", "file", "key", "x"))))
        elif tag == "td":
            self._numeric = found.get("class") == "n"

    def handle_data(self, text: str) -> None:
        if self._open is not None:
            self.figures.append(Shown(text, *(str(self._open[name]) for name in ("value", "data-file", "data-key"))))
        elif self._numeric and re.search(r"\d", text):
            self.bare.append(text)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._open = None
        elif tag == "td":
            self._numeric = False


def check_figures(run_dir: Path, page: str) -> tuple[int, int]:
    """(figures, curves) that were compared; each equals its record. A number in a numeric cell must be a figure."""
    found = _Reader(page)
    assert found.bare == []
    for shown in found.figures:
        record = _recorded(run_dir / shown.file, shown.key)
        assert float(shown.value) == record, shown
        assert abs(_read(shown.text) - record) <= _precision(shown.text), shown
    for curve in found.curves:
        _check_curve(run_dir, curve)
    return len(found.figures), len(found.curves)


def _check_curve(run_dir: Path, curve: Shown) -> None:
    xs, ys = ([float(number) for number in numbers.split()] for numbers in (curve.x, curve.text))
    if "*" in curve.file:  # a point a round; the control's curve begins with round 0 of the loop
        files = [curve.file.replace("*", f"{int(x):02d}") for x in xs]
        files = [file if (run_dir / file).is_file() else file.replace("control/", "") for file in files]
        wanted = [_recorded(run_dir / file, curve.key) for file in files]
    else:
        rows = [row for row in _rows(run_dir / curve.file) if isinstance(row.get(curve.key), (int, float))]
        every = -(-len(rows) // len(ys))
        blocks = [rows[start : start + every] for start in range(0, len(rows), every)]
        assert xs == [block[-1]["step"] for block in blocks], curve.file
        wanted = [sum(row[curve.key] for row in block) / len(block) for block in blocks]
    assert len(ys) == len(wanted)
    for shown, record in zip(ys, wanted, strict=True):
        assert abs(shown - record) <= 1e-3 * abs(record) + 1e-12, (curve.file, curve.key)


def _recorded(file: Path, key: str) -> float:
    if file.suffix == ".jsonl":
        rows = _rows(file)
        if key in ("*", "kept"):
            return len(rows) if key == "*" else sum(row["kept"] for row in rows)
        id_, _, name = key.rpartition(":")
        (value,) = [row[name] for row in rows if row["id"] == id_]
    else:
        value = json.loads(file.read_text())
        for part in key.split("/"):
            value = value[part]
    return float(value)


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _read(text: str) -> float:
    """0.4385, −4.6 %, 12.3 s, 1 min 26 s or 2 h 05 min as a number, in seconds where it is a time."""
    if re.search(r" (s|min|h)\b", text):
        units = {"h": 3600, "min": 60, "s": 1}
        return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)\b", text))
    number = float(text.replace("−", "-").removesuffix(" %"))
    return number / 100 if text.endswith("%") else number


def _precision(text: str) -> float:
    """Half a unit of the last place; of a time in minutes or hours the unit that was cut off."""
    if " h " in text or " min" in text:
        return 60.0 if " h " in text else 1.0
    places = len(re.sub(r"[^\d.]", "", text).partition(".")[2])
    digits = len(re.sub(r"\D", "", text).lstrip("0"))
    step = 10.0**-places if places or digits < 4 else 10.0 ** (len(re.sub(r"\D", "", text)) - 4)
    return (0.51 * step) / (100 if text.endswith("%") else 1)
