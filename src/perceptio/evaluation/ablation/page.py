"""Where an ablation's reports go: into its folder, and, to be kept, into the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from perceptio.evaluation.ablation.plan import AblationPlan
from perceptio.evaluation.ablation.plots import draw_differences
from perceptio.evaluation.ablation.tables import (
    TOKEN_REPORTS,
    VARIANT_REPORTS,
    Report,
    comparable,
    reports_of,
    tables,
)
from perceptio.evaluation.folder import SETTINGS
from perceptio.files import check_writable_folder, read_text, replacing, write_files

PAGE, REPORTS = "ablation.md", "ablation"  # the page of the documentation, and the folder of its reports
_KEPT = (".json", ".png")
_RESULTS = re.compile(r"(<!-- results.*?-->\n).*?(<!-- end of results -->)", re.DOTALL)


def summarize(plan: AblationPlan, folder: Path) -> str:
    """Write reports, tables and plots of a finished ablation into its folder `summary`; returns the tables."""
    reports = reports_of(plan, folder)
    text = tables(reports)
    summary = folder / "summary"
    files = {f"{name}.json": _json(report) for name, report in reports.items()}
    write_files(summary, {**files, SETTINGS: (folder / SETTINGS).read_bytes(), "tables.md": f"{text}\n".encode()})
    for names, picture, title in (
        (VARIANT_REPORTS, "variants.png", "difference from full"),
        (TOKEN_REPORTS, "tokens.png", "difference from generated depth tokens"),
    ):
        drawn = [reports[name] for name in names if name in reports]
        draw_differences(drawn, comparable(drawn[0]), summary / picture, title)
    return text


def check_page(docs: Path) -> None:
    """Refuse a documentation that could not be published in, before the work whose reports it is for.

    Raises:
        ValueError: if its page is missing, or lacks the marks between which results stand.
        OutputError: if it cannot be written.
    """
    rendered(read_text(docs / PAGE), docs / REPORTS)
    check_writable_folder(docs)


def publish(folder: Path, docs: Path) -> None:
    """Keep the reports and plots of a summarized ablation in the documentation, and render its page from them."""
    kept = docs / REPORTS
    files = {path.name: path.read_bytes() for path in sorted((folder / "summary").glob("*")) if path.suffix in _KEPT}
    write_files(kept, files)
    for path in kept.iterdir():
        if path.suffix in _KEPT and path.name not in files:
            path.unlink()
    text = (docs / PAGE).read_text()
    with replacing(docs / PAGE) as beside:
        beside.write_text(rendered(text, kept))


def rendered(page: str, kept: Path) -> str:
    """A page with what the reports in a folder say between its two marks."""
    reports = read_reports(kept)
    parts = [tables(reports)]
    if reports:
        parts.insert(0, _conditions(json.loads((kept / SETTINGS).read_text()), reports[VARIANT_REPORTS[0]]))
    text, places = _RESULTS.subn(lambda match: match[1] + "\n".join(["", *parts, "", match[2]]), page)
    if places != 1:
        raise ValueError(f"the page must hold the marks {_RESULTS.pattern!r} once, not {places} times")
    return text


def read_reports(kept: Path) -> dict[str, Report]:
    """The reports in a folder by name."""
    names = (*VARIANT_REPORTS, *TOKEN_REPORTS)
    paths = {name: kept / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def _conditions(settings: dict[str, Any], full: Report) -> str:
    stage, judged = settings["stage"], full["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in judged["versions"].items())
    return (
        f"{stage['steps']:,} steps of {stage['batch'] * stage['accumulate']} images a run, "
        f"{settings['train_scenes']['count']:,} scenes to train on, start {settings['start']}; judged on the first "
        f"{judged['scenes']} scenes of the split {judged['split']} ({judged['content_hash'][:16]}), {judged['dtype']} "
        f"on {judged['device']}; {versions}.\n"
    )


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
