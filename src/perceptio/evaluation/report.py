"""A report: named figures, each with its number of samples, as a table for people or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number of a report."""

    name: str
    value: float
    count: int  # samples it stands on
    percent: bool = True  # a share, shown as per cent
    error: float | None = None  # standard error, where one is known


@dataclass
class Report:
    """What an evaluation found."""

    title: str
    settings: dict[str, Any] = field(default_factory=dict)  # model, split, options: what is needed to repeat it
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, count: int, *, percent: bool = True) -> None:
        """Append a figure."""
        self.figures.append(Figure(name, value, count, percent))

    def to_json(self, indent: int | None = None) -> str:
        """One JSON object; a figure without samples is null."""
        figures = {
            figure.name: {
                "value": _number(figure.value),
                "count": figure.count,
                **({} if figure.error is None else {"error": _number(figure.error)}),
            }
            for figure in self.figures
        }
        return json.dumps({"title": self.title, **self.settings, "figures": figures}, indent=indent)

    def to_markdown(self) -> str:
        """A table that a README can hold."""
        rows = [(figure.name, _shown(figure), str(figure.count)) for figure in self.figures]
        return f"{self.title}\n\n{table([('figure', 'value', 'n'), *rows])}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first of them the heads, as a Markdown table with its first column to the left."""
    rows = [[_cell(text) for text in row] for row in rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    rule = [f"{'-' * (widths[0] + 2)}", *(f"{'-' * (width + 1)}:" for width in widths[1:])]
    lines = [
        [f" {row[0]:<{widths[0]}} ", *(f" {cell:>{width}} " for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    return "\n".join(f"|{'|'.join(cells)}|" for cells in (lines[0], rule, *lines[1:]))


def _cell(text: str) -> str:
    """One line, with nothing in it that would end the cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _shown(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    if not figure.percent:
        return f"{figure.value:.3f}"
    spread = "" if figure.error is None else f" ± {100 * figure.error:.1f}"
    return f"{100 * figure.value:.1f}{spread} %"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
