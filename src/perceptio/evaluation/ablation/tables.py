"""What an ablation found: one small JSON report for each comparison, and tables made from those reports alone.

A report is an object with `title`, `settings`, `runs` (for each seed: figures as in `report.json`, seconds an answer)
and `figures`: for each name the value over all seeds, its 95 % interval, the difference from the first report of its
table with an interval, and for shares McNemar's exact test. Intervals come from a bootstrap over pictures, whose
questions, asked of the models of all seeds, are drawn together. The test counts questions, and so takes one seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceptio.evaluation.ablation.plan import FULL, VARIANTS, AblationPlan, Variant
from perceptio.evaluation.ablation.run import FREE, REPLACED, TEST, tokens_folder
from perceptio.evaluation.compare import Difference, compare
from perceptio.evaluation.depth_tokens import DepthTokens
from perceptio.evaluation.folder import load_report, load_samples
from perceptio.evaluation.judged import Judged
from perceptio.evaluation.report import table

VARIANT_REPORTS = tuple(VARIANTS)  # names of reports, those of one table together, the standard of comparison first
TOKEN_REPORTS = tuple(tokens_folder(kind) for kind in (DepthTokens.own, *REPLACED))
_TITLES = {
    DepthTokens.own: "generated",
    DepthTokens.oracle: "true (oracle)",
    DepthTokens.other: "another picture's",
    DepthTokens.random: "random",
    DepthTokens.matched_random: "random, matched",
    DepthTokens.constant: "constant",
    DepthTokens.first_repeat: "first repeated",
}
_VALIDITY = ("valid depth spans where due", "malformed answers")
_OF_DEPTH = ("depth ", "valid depth")  # how figures begin that say nothing of answers without depth spans
_OF_MASKS = ("referring", "plural", "no-target", "present object")  # likewise without [SEG]

_NO_SETTINGS = ("title", "figures", "model", "weights", "seconds_per_answer")

Report = dict[str, Any]


def reports_of(plan: AblationPlan, folder: Path) -> dict[str, Report]:
    """Reports by name, from the folder of a finished ablation."""
    full = [folder / job.name for job in plan.jobs() if job.variant == FULL]
    found = {}
    for name, variant in VARIANTS.items():
        runs = [folder / job.name for job in plan.jobs() if job.variant == name]
        if runs:
            first, second = ([_all_samples(run, variant) for run in part] for part in (full[: len(runs)], runs))
            found[name] = _report(variant.title, [run / TEST for run in runs], _differences(first, second))
    own = full[0] / TEST
    for name, (kind, title) in zip(TOKEN_REPORTS, _TITLES.items(), strict=True):
        test = own if kind is DepthTokens.own else full[0] / name
        first, second = ([_samples(folder, VARIANTS[FULL])] for folder in (own, test))
        found[name] = _report(title, [test], _differences(first, second))
    return found


def _all_samples(run: Path, variant: Variant) -> list[Judged]:
    """The samples of one model, and what came of the grammar when it ran free."""
    free = [
        replace(
            sample,
            key=f"free/{sample.key}",
            outcomes={f"{name}, free": sample.outcomes[name] for name in _VALIDITY if name in sample.outcomes},
        )
        for sample in _samples(run / FREE, variant)
    ]
    return _samples(run / TEST, variant) + free


def _samples(test: Path, variant: Variant) -> list[Judged]:
    """The samples in a folder of results, with those outcomes that mean something for its variant."""
    mute = (() if variant.depth else _OF_DEPTH) + (() if variant.seg else _OF_MASKS)
    return [
        replace(sample, outcomes={name: value for name, value in sample.outcomes.items() if not name.startswith(mute)})
        for sample in load_samples(test)
    ]


def _differences(first: Sequence[Sequence[Judged]], second: Sequence[Sequence[Judged]]) -> list[Difference]:
    """Differences over all seeds; the exact test, which takes samples for independent, is of the first seed."""
    pooled = compare(_pooled(first), _pooled(second))
    exact = {item.name: item for item in (compare(first[0], second[0]) if len(first) > 1 else pooled)}
    return [
        replace(item, gained=exact[item.name].gained, lost=exact[item.name].lost, p=exact[item.name].p)
        for item in pooled
        if item.name in exact
    ]


def _pooled(by_seed: Sequence[Sequence[Judged]]) -> list[Judged]:
    return [replace(sample, key=f"{seed}/{sample.key}") for seed, samples in enumerate(by_seed) for sample in samples]


def _report(title: str, tests: Sequence[Path], differences: Sequence[Difference]) -> Report:
    report = load_report(tests[0])
    places = {name: place for place, name in enumerate(report["figures"])}
    figures = {
        item.name: {
            "value": _number(item.second),
            "interval": [_number(bound) for bound in item.second_interval],
            "difference": _number(item.second - item.first),
            "difference_interval": [_number(item.low), _number(item.high)],
            "count": item.count,
            **({} if item.p is None else {"gained": item.gained, "lost": item.lost, "p": float(f"{item.p:.3g}")}),
        }
        for item in sorted(differences, key=lambda item: places.get(item.name, len(places)))
    }
    settings = {key: value for key, value in report.items() if key not in _NO_SETTINGS}
    return {
        "title": title,
        "settings": settings,  # the same for all seeds
        "runs": [_run(test, figures) for test in tests],
        "figures": figures,
    }


def _run(test: Path, named: Collection[str]) -> dict[str, Any]:
    report = load_report(test)
    return {
        "model": report["model"],
        "weights": report["weights"],
        "seconds_per_answer": report["seconds_per_answer"],
        "figures": {name: figure for name, figure in report["figures"].items() if name in named},
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)


def tables(reports: dict[str, Report]) -> str:
    """All tables as Markdown; without reports, a sentence."""
    if not reports:
        return "The runs are outstanding: there is no figure yet."
    variants = [reports[name] for name in VARIANT_REPORTS if name in reports]
    tokens = [reports[name] for name in TOKEN_REPORTS if name in reports]
    parts = [("### Variants", _values(variants))]
    if variants[1:]:
        parts.append(("### Variants: difference from full", _changes(variants)))
    if any(len(report["runs"]) > 1 for report in variants):
        parts.append(("### Seeds: value ± standard error", _seeds(variants)))
    parts.append(("### Other depth tokens, full model", _values(tokens)))
    parts.append(("### Other depth tokens: difference from generated", _changes(tokens)))
    return "\n\n".join(f"{head}\n\n{text}" for head, text in parts)


def comparable(report: Report) -> list[str]:
    """Names of the figures that depend on the model; those of a rule, beside marked points, are for comparison only."""
    return [name for name in report["figures"] if not name.startswith("rule")]


def _values(reports: Sequence[Report]) -> str:
    rows = [("value [95 % interval]", *(report["title"] for report in reports))]
    for name in reports[0]["figures"]:
        found = [report["figures"].get(name) for report in reports]
        rows.append((name, *("-" if one is None else _interval(one["value"], one["interval"]) for one in found)))
    seconds = [statistics.mean(run["seconds_per_answer"] for run in report["runs"]) for report in reports]
    rows.append(("seconds an answer", *(f"{value:.3f}" for value in seconds)))
    return table(rows)


def _changes(reports: Sequence[Report]) -> str:
    rows = [("difference [95 % interval], p", *(report["title"] for report in reports[1:]))]
    for name in comparable(reports[0]):
        found = [report["figures"].get(name) for report in reports[1:]]
        rows.append((name, *("-" if one is None else _change(one) for one in found)))
    return table(rows)


def _seeds(reports: Sequence[Report]) -> str:
    repeated = [report for report in reports if len(report["runs"]) > 1]
    columns = [run for report in repeated for run in report["runs"]]
    rows = [("figure", *(run["model"] for run in columns))]
    for name in columns[0]["figures"]:
        cells = [run["figures"].get(name, {}) for run in columns]
        rows.append((name, *(_spread(cell.get("value"), cell.get("error")) for cell in cells)))
    return table(rows)


def _change(figure: dict[str, Any]) -> str:
    text = _interval(figure["difference"], figure["difference_interval"], sign="+")
    low, high = figure["difference_interval"]
    if low is not None and (low > 0 or high < 0):
        text = f"**{text}**"
    return text if "p" not in figure else f"{text}, {figure['p']:.2g}"


def _interval(value: float | None, bounds: Sequence[float | None], sign: str = "") -> str:
    if value is None or None in bounds:
        return "-"
    low, high = bounds
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _spread(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"
