"""A report: named figures, each with its number of samples, as a table for people or as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number of a report."""

    name: str
    value: float
    count: int  # samples it stands on
    percent: bool = True  # a share, shown as per cent


@dataclass
class Report:
    """What an evaluation found."""

    title: str
    settings: dict[str, Any] = field(default_factory=dict)  # model, split, options: what is needed to repeat it
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, count: int, *, percent: bool = True) -> None:
        """Append a figure."""
        self.figures.append(Figure(name, value, count, percent))

    def to_json(self) -> str:
        """One JSON object; a figure without samples is null."""
        figures = {
            figure.name: {"value": None if math.isnan(figure.value) else round(figure.value, 5), "count": figure.count}
            for figure in self.figures
        }
        return json.dumps({"title": self.title, **self.settings, "figures": figures})

    def to_markdown(self) -> str:
        """A table that a README can hold."""
        rows = [(figure.name, _shown(figure), str(figure.count)) for figure in self.figures]
        widths = [max(len(row[k]) for row in [("figure", "value", "n"), *rows]) for k in range(3)]
        lines = [
            _row(("figure", "value", "n"), widths),
            f"|{'-' * (widths[0] + 2)}|{'-' * (widths[1] + 1)}:|{'-' * (widths[2] + 1)}:|",
        ]
        return "\n".join([f"{self.title}", "", *lines, *(_row(row, widths) for row in rows)])


def _shown(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    return f"{100 * figure.value:.1f} %" if figure.percent else f"{figure.value:.3f}"


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    name, value, count = cells
    return f"| {name:<{widths[0]}} | {value:>{widths[1]}} | {count:>{widths[2]}} |"
