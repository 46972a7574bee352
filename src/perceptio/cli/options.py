"""Options that several commands share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from perceptio.scenes.storage import SceneStore


class Split(StrEnum):
    """Names of the splits; the last two are of places alone, the two before of table-tops."""

    train = "train"
    val = "val"
    test = "test"
    test_compositional = "test-compositional"
    test_shift = "test-shift"
    test_instances = "test-instances"
    test_classes = "test-classes"


class WorldName(StrEnum):
    """Names of the worlds."""

    tabletop = "tabletop"
    photographic = "tabletop-photographic"
    places = "places"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Limit = Annotated[int | None, typer.Option(help="Use the first scenes only.", min=1, show_default=False)]
OneSplit = Annotated[Split, typer.Option(help="Which split.")]
Recipe = Annotated[Path, typer.Argument(help="A recipe, such as recipes/nano.yaml.", show_default=False)]
Rendered = Annotated[
    Path | None,
    typer.Option("--scenes", help="Folder of rendered splits; rendered afresh by default.", show_default=False),
]
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME by default.", show_default=False)]
TrainScenes = Annotated[
    Path | None, typer.Option(help="Folder with rendered train and val splits.", show_default=False)
]


@contextmanager
def open_split(folder: Path | None, split: Split, limit: int | None) -> Iterator[SceneStore]:
    """The rendered split below a folder; without a folder it is rendered for the time of the block."""
    from perceptio.scenes.render_job import render_split
    from perceptio.scenes.storage import SceneStore
    from perceptio.scenes.worlds import TABLETOP

    if folder is not None:
        yield SceneStore(folder / split.value)
        return
    with tempfile.TemporaryDirectory() as fresh:
        count = TABLETOP.tests.get(split.value, 256)
        yield render_split(fresh, split.value, count if limit is None else min(limit, count))


def quiet() -> None:
    """Keep the model library's own progress bars and warnings off stderr: it is for our sentences."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def refuse_existing(folder: Path) -> None:
    """Keep a command that writes a whole folder from replacing one that holds anything, or from writing in vain.

    Raises:
        ValueError: if `folder` is a file, or a folder that is not empty.
        OutputError: if it cannot be written.
    """
    from perceptio.files import check_writable_folder

    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} is there already: give --out another name, or remove it first")
    check_writable_folder(folder)
