"""Rows of the trial of towers: their names, the file that they are kept in, and the tables made of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import show_head, show_row
from _designs import DESIGNS

from perceptio.evaluation.photos.annotations import read_photo_order
from perceptio.evaluation.photos.scoring import Estimate, lower, more_central, rule_finds, rule_share
from perceptio.files import parse_json, read_lines

WORLDS = {"tabletop": ("tabletop",), "places": ("places",), "both": ("tabletop", "places")}
FIGURES = {"pairs": "nearer of 2, %", "nearest": "nearest of 3-5, %"}
EFFECTS: tuple[tuple[str, Any, Any], ...] = (  # what differs between two rows, from what, to what
    ("ranking", False, True),
    ("world", "tabletop", "places"),
    ("world", "tabletop", "both"),
    ("design", "nano", "taught"),
    ("design", "nano", "on-trunk"),
    ("design", "nano", "frozen"),
)


@dataclass(frozen=True)
class Row:
    """One tower's training."""

    design: str
    world: str
    ranking: bool

    @property
    def name(self) -> str:
        """As it is selected by."""
        return f"{self.design}-{self.world}{'-ranking' if self.ranking else ''}"


ROWS = [Row(design, world, ranking) for design in DESIGNS for world in WORLDS for ranking in (False, True)]


def read_rows(out: Path, settings: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The rows of a file that are done, by name.

    Raises:
        ValueError: if the file is damaged, or holds rows of other settings.
    """
    lines = read_lines(out) if out.exists() else ()
    rows = {row["row"]: row for number, line in lines for row in [parse_json(line, f"{out}:{number}")]}
    for row in rows.values():
        if settings is not None and row["settings"] != settings:
            raise ValueError(f"{out} holds rows of other settings, such as {row['settings']}: name another file")
    return rows


def report(options: argparse.Namespace) -> None:
    """Print the table of the rows that are done.

    Raises:
        ValueError: if there is none.
    """
    rows = read_rows(options.out)
    if not rows:
        raise ValueError(f"{options.out} holds no rows: run some first")
    settings = next(iter(rows.values()))["settings"]
    print(", ".join(f"{name} {value}" for name, value in settings.items()), end="\n\n")
    show_head("design", "world", "ranking", "views", "steps", "steps/s", "L1", *FIGURES.values())
    for row in ROWS:
        if row.name in rows:
            found = rows[row.name]
            shown = (str(found[name]) for name in ("views", "steps", "steps_per_second", "l1"))
            figures = (_percent(*found[name]) for name in FIGURES)
            show_row(row.design, row.world, "yes" if row.ranking else "no", *shown, *figures)
    photographs = read_photo_order().photographs
    for name, rule in (("lowest", lower), ("most central", more_central)):
        pairs = Estimate.of({each.name: [rule_share(rule, each.pairs)] for each in photographs if each.pairs})
        finds = {each.name: [float(rule_finds(rule, group)) for group in each.groups] for each in photographs}
        _show_bound(f"rule: the {name}", pairs, Estimate.of(finds))
    chance = [1 / len(group) for each in photographs for group in each.groups]
    _show_bound("chance", Estimate(0.5, None, 0), Estimate(float(np.mean(chance)), None, 0))
    _show_effects(rows)


def _show_effects(rows: Mapping[str, dict[str, Any]]) -> None:
    """How much a change brings, over all rows that it alone tells apart: paired by photograph, each of one weight."""
    shown = []
    for field, one, other in EFFECTS:
        changed = [(row.name, replace(row, **{field: other}).name) for row in ROWS if getattr(row, field) == one]
        matched = [(rows[a], rows[b]) for a, b in changed if a in rows and b in rows]
        if not matched:
            continue
        estimates = []
        for name in FIGURES:
            of = f"{name}_of"
            gains = {
                photo: [float(np.mean([b[of][photo] - a[of][photo] for a, b in matched]))]
                for photo in matched[0][0][of]
            }
            estimates.append(Estimate.of(gains))
        title = "ranking loss" if field == "ranking" else f"{one} → {other}"
        shown.append((title, str(len(matched)), *(_percent(found.value, found.error) for found in estimates)))
    if shown:
        print()
        show_head("change, in points", "rows", *FIGURES.values())
    for cells in shown:
        show_row(*cells)


def _show_bound(name: str, *figures: Estimate) -> None:
    show_row(name, *[""] * 6, *(_percent(found.value, found.error) for found in figures))


def _percent(value: float, error: float | None) -> str:
    return f"{100 * value:.1f}" + ("" if error is None else f" ± {100 * error:.1f}")
