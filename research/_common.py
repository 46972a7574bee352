"""The head that the probes share: options, scenes, the model that is asked, and tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perceptio import Perceptio
from perceptio.cli.options import Split, open_split
from perceptio.scenes.storage import SceneStore


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a script's docstring as it stands."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def model_parser(text: str | None) -> argparse.ArgumentParser:
    """`parser` with the option that names a model."""
    made = parser(text)
    made.add_argument("--model", default="nano", help="a name, a folder or a hub id")
    return made


def probe_parser(text: str | None, *, count: int, split: Split = Split.val) -> argparse.ArgumentParser:
    """`model_parser` with the options of `opened`.

    Args:
        text: docstring.
        count: scenes by default.
        split: of the scenes by default.
    """
    made = model_parser(text)
    made.add_argument("--split", type=Split, default=split)
    made.add_argument("--scenes", type=Path, help="folder with the rendered split; rendered afresh by default")
    made.add_argument("--count", type=int, default=count, help="scenes")
    return made


def recipe_parser(text: str | None, needed: str) -> argparse.ArgumentParser:
    """`parser` with a recipe, and the folder of a run in which the stages `needed` are done."""
    made = parser(text)
    made.add_argument("recipe", type=Path)
    made.add_argument("run", type=Path, help=f"folder of a run with its {needed} done")
    made.add_argument("--scenes", type=Path, required=True, help="folder with the rendered splits train and val")
    made.add_argument("--steps", type=int, default=300)
    return made


def load(options: argparse.Namespace, device: str | None = None) -> Perceptio:
    """The model of the options."""
    return Perceptio.from_pretrained(options.model, device=device)


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[SceneStore]:
    """The first scenes of a split, for the time of the block."""
    with open_split(options.scenes, options.split, options.count) as store:
        yield store.first(options.count)


def show_head(first: str, *others: str) -> None:
    """Print the head of a table."""
    show_row(first, *others)
    print("|---|" + "---:|" * len(others), flush=True)


def show_row(*cells: str) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)
