"""The floors of the house: no room imports one above it, and nothing imports in a circle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import perceptio

ROOT = Path(perceptio.__file__).parent
FLOORS = (  # from the ground up; files and folders directly below `perceptio`
    "files",
    "tokens",
    "processes",
    "pretrained",
    "visualize",
    "images",
    "results",
    "depth",
    "segmentation",
    "model",
    "decoding",
    "checkpoints",
    "data",
    "labeling",
    "scenes",
    "training",
    "nano",
    "session",
    "pipeline",
    "evaluation",
    "serving",
    "cli",
)


def module_of(path: Path) -> str:
    """The dotted name of a file below `perceptio`: "data.schema"."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, *, lazy: bool) -> set[str]:
    """The modules below `perceptio` that a file imports; with `lazy` inside functions and for type checkers too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            if node.module and node.module.split(".")[0] == "perceptio":
                inside = node.module.removeprefix("perceptio").removeprefix(".")
                found |= {f"{inside}.{alias.name}".removeprefix(".") for alias in node.names} | {inside}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("perceptio.") for alias in node.names if "perceptio." in alias.name}
    return {name for name in found if name in MODULES}


FILES = sorted(ROOT.rglob("*.py"))
MODULES = {module_of(path) for path in FILES}


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_floor() -> None:
    rooms = {room(module_of(path)) for path in FILES} - {"", "__init__"}
    assert rooms == set(FLOORS)


@pytest.mark.parametrize("name", FLOORS)
def test_no_room_imports_one_above_it(name: str) -> None:
    own = FLOORS.index(name)
    above = {
        f"{module_of(path)} imports {other}"
        for path in FILES
        if room(module_of(path)) == name
        for other in imports_of(path, lazy=True)
        if room(other) in FLOORS and FLOORS.index(room(other)) > own
    }
    assert not above


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module_of(path): imports_of(path, lazy=False) for path in FILES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module in done:
            return
        for other in graph[module]:
            visit(other, (*way, module))
        done.add(module)

    for module in graph:
        visit(module, ())
