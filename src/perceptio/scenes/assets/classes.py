"""The written tables: what the models are called, where they belong, and which surface pictures are used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from perceptio.files import read_lines
from perceptio.scenes.assets.skipped import AssetError

TABLES = Path(__file__).with_name("tables")
ROLES = (
    *("floor", "wallside", "small", "wall", "ceiling", "door", "window"),
    *("person", "animal", "tree", "plant", "vehicle", "street", "group", "none"),
)
PLACES = ("living", "bed", "kitchen", "bath", "office", "street", "garden")
GROUPS = ("floor", "wall", "ground", "road", "facade", "roof", "fabric", "sky", "water", "any")


@dataclass(frozen=True)
class ObjectClass:
    """A kind of thing, by the noun that people use."""

    noun: str
    plural: str
    synonyms: tuple[tuple[str, str], ...]  # other nouns, each with its plural
    also: tuple[str, ...]  # nouns of other classes that fit such a thing too
    role: str  # one of `ROLES`
    places: tuple[str, ...]  # of `PLACES`
    held_out: bool  # training never sees the class


@dataclass(frozen=True)
class Named:
    """What a model of the catalogue is."""

    noun: str
    held_out: bool  # training never sees this model


@dataclass(frozen=True)
class SurfaceFile:
    """A picture in a package."""

    package: str
    path: str
    sha256: str
    group: str  # one of `GROUPS`
    licence: str
    credit: str


def read_classes(folder: Path = TABLES) -> dict[str, ObjectClass]:
    """The classes by their nouns.

    Raises:
        AssetError: if the table is missing or damaged; with the line.
    """
    classes: dict[str, ObjectClass] = {}
    for where, row in _rows(folder / "classes.tsv", ObjectClass):
        if row["noun"] in classes:
            raise AssetError(f"{where}: the noun {row['noun']!r} stands twice")
        classes[row["noun"]] = ObjectClass(
            noun=row["noun"],
            plural=row["plural"],
            synonyms=tuple(_pair(pair, where) for pair in _list(row["synonyms"])),
            also=_list(row["also"]),
            role=_one_of(row["role"], ROLES, where),
            places=tuple(_one_of(place, PLACES, where) for place in _list(row["places"])),
            held_out=_flag(row["held_out"], where),
        )
    for each in classes.values():
        for noun in each.also:
            if noun not in classes:
                raise AssetError(f"{folder / 'classes.tsv'}: {each.noun!r} is also {noun!r}, which has no line")
    return classes


def read_names(classes: Mapping[str, ObjectClass], folder: Path = TABLES) -> dict[str, Named]:
    """What each model of the catalogues is, by its id.

    Raises:
        AssetError: if the table is missing or damaged, or names a class that there is not.
    """
    names: dict[str, Named] = {}
    for where, row in _rows(folder / "models.tsv", Named, "id"):
        if row["id"] in names:
            raise AssetError(f"{where}: the model {row['id']!r} stands twice")
        if row["noun"] not in classes:
            raise AssetError(f"{where}: there is no class {row['noun']!r}")
        names[row["id"]] = Named(row["noun"], _flag(row["held_out"], where))
    return names


def read_surface_files(folder: Path = TABLES) -> list[SurfaceFile]:
    """The surface pictures to pack, in the table's order.

    Raises:
        AssetError: if the table is missing or damaged.
    """
    files = []
    for where, row in _rows(folder / "surfaces.tsv", SurfaceFile):
        if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
            raise AssetError(f"{where}: {row['sha256']!r} is no SHA-256")
        _one_of(row["group"], GROUPS, where)
        files.append(SurfaceFile(**row))
    return files


def _rows(path: Path, kind: Any, *more: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each line stands, and its cells by the names of the columns."""
    wanted = [*more, *(field.name for field in fields(kind))]
    try:
        (_, header), *lines = read_lines(path)
    except ValueError as error:
        reason = str(error) if path.exists() else f"there is no table {path}"
        raise AssetError(f"{reason}: install Perceptio again") from error
    columns = header.split("\t")
    if missing := [name for name in wanted if name not in columns]:
        raise AssetError(f"{path} has no column {missing[0]!r}")
    for number, line in lines:
        cells = line.split("\t")
        cells += [""] * (len(columns) - len(cells))
        if len(cells) > len(columns):
            raise AssetError(f"{path}:{number} has {len(cells)} cells, not {len(columns)}")
        row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        yield f"{path}:{number}", {name: row[name] for name in wanted}


def _list(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


def _pair(text: str, where: str) -> tuple[str, str]:
    noun, slash, plural = text.partition("/")
    if not slash or not noun or not plural:
        raise AssetError(f"{where}: the synonym {text!r} is not written noun/plural")
    return noun, plural


def _one_of(word: str, words: tuple[str, ...], where: str) -> str:
    if word not in words:
        raise AssetError(f"{where}: {word!r} is none of {', '.join(words)}")
    return word


def _flag(cell: str, where: str) -> bool:
    if cell not in ("", "0", "1"):
        raise AssetError(f"{where}: held_out is {cell!r}, not 0 or 1")
    return cell == "1"
