"""An ablation as a picture: the difference of every figure from the standard of comparison, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perceptio.files import replacing

_COLUMNS = 4


def draw_differences(reports: Sequence[dict[str, Any]], names: Sequence[str], path: Path, title: str) -> None:
    """One small plot for each figure: a line for each report, from the lower to the upper end of its 95 % interval.

    Args:
        reports: as of `ablation_report`; the first is what the others are compared with.
        names: of the figures.
        path: of the PNG.
        title: of the picture.
    """
    from matplotlib.figure import Figure

    others = reports[1:]
    names = [name for name in names if any(_shown(report, name) for report in others)]
    if not names:
        return
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, rows * (0.9 + 0.22 * len(others))), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1)
        for height, report in enumerate(others):
            if _shown(report, name):
                item = report["figures"][name]
                axes.plot(item["difference_interval"], [height, height], color="tab:blue", linewidth=1.5)
                axes.plot(item["difference"], height, "o", color="tab:blue", markersize=4)
        axes.axvline(0, color="gray", linewidth=0.8)
        axes.set_title(name, fontsize=9)
        labelled = number % _COLUMNS == 0
        axes.set_yticks(range(len(others)), [report["title"] for report in others] if labelled else [])
        axes.set_ylim(len(others) - 0.5, -0.5)
        axes.tick_params(labelsize=7)
    figure.suptitle(title)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=100)


def _shown(report: dict[str, Any], name: str) -> bool:
    item = report["figures"].get(name)
    return item is not None and None not in (item["difference"], *item["difference_interval"])
