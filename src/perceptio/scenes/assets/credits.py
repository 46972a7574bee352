"""Who made what a pack holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perceptio.scenes.assets.pack import Model, Surface

_LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
}


def credits_text(models: Sequence[Model], surfaces: Sequence[Surface], packages: Mapping[str, str | None]) -> str:
    """Markdown: each model and surface with its creator and licence, which belongs beside pictures that show them."""
    used = sorted({model.licence for model in models} | {surface.licence for surface in surfaces})
    links = [f"- {name}: {_LICENCES[name]}" for name in used if name in _LICENCES]
    sources = [f"- {name} {version or '(version unknown)'}" for name, version in packages.items()]
    lines = [
        "# Credits",
        "",
        "The models and pictures of this folder come from the packages below. Models were reduced to fewer triangles",
        "and scaled to their true sizes; pictures were made smaller.",
        "",
        *sources,
        "",
        *links,
        "",
        "## Models",
        "",
        *_table("Model", [(model.name, model.creator, model.licence) for model in models]),
        "",
        "## Surfaces",
        "",
        *_table("Picture", [(surface.name, surface.credit, surface.licence) for surface in surfaces]),
    ]
    return "\n".join(lines) + "\n"


def _table(what: str, rows: list[tuple[str, str, str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {what} | By | Licence |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in cells)]
