"""Read a furniture library of Sweet Home 3D (`.sh3f`): a zip of OBJ models and a catalogue with true sizes.

The keys of the catalogue are documented at https://www.sweethome3d.com/documentation/ (Furniture Library Editor).
"""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from perceptio.scenes.assets.skipped import AssetError, Skipped
from perceptio.scenes.camera import Vector

_CATALOGUE = "PluginFurnitureCatalog.properties"
_LINE = re.compile(r"\s*([\w#]+)\s*[=:]\s*(.*?)\s*$")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_LICENCES = (  # how the catalogues write them, and their SPDX names
    ("Public domain", "CC0-1.0"),
    ("Creative Commons Attribution 3.0 United States", "CC-BY-3.0-US"),
    ("Creative Commons Attribution 3.0", "CC-BY-3.0"),
)


@dataclass(frozen=True)
class Entry:
    """One model of a catalogue; lengths in metres."""

    name: str  # the catalogue's id: "Scopia#bed1"
    title: str  # what people see: "Bed"
    archive: Path
    file: str  # the OBJ within the archive
    size: Vector  # width, depth, height
    elevation: float  # of its foot above the floor, where it belongs
    top: float | None  # height at which things stand on it
    rotation: tuple[float, ...] | None  # 3 x 3, row by row, applied to the file's vertices before they are scaled
    creator: str
    licence: str  # its SPDX name


def read_catalogue(archive: Path) -> tuple[list[Entry], list[Skipped]]:
    """The models of one library in the catalogue's order, and those whose entries cannot be used.

    Raises:
        AssetError: if it is no furniture library.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            files = set(content.namelist())
            text = content.read(_CATALOGUE).decode("latin-1")
    except (OSError, zipfile.BadZipFile, KeyError, EOFError) as error:
        raise AssetError(f"{archive} is no furniture library, or is damaged: {error}") from error
    library, models = _parse(text)
    entries, skipped = [], []
    for number, keys in sorted(models.items()):
        name = keys.get("id", f"{archive.stem}, model {number}")
        try:
            entry = _entry(keys, library, archive)
        except (KeyError, ValueError) as error:
            skipped.append(Skipped(name, f"its entry in the catalogue is damaged ({error})"))
            continue
        if entry.file in files:
            entries.append(entry)
        else:
            skipped.append(Skipped(name, "its file is not in the library"))
    return entries, skipped


def _parse(text: str) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    """The keys of the library, and those of each model by its number."""
    library: dict[str, str] = {}
    models: dict[int, dict[str, str]] = defaultdict(dict)
    for line in text.split("\n"):
        found = _LINE.match(line)
        if found is None or line.lstrip().startswith(("#", "!")):
            continue
        key, _, number = found[1].partition("#")
        value = _ESCAPE.sub(lambda code: chr(int(code[1], 16)), found[2])
        if number.isdigit():
            models[int(number)][key] = value
        else:
            library[key] = value
    return library, models


def _entry(keys: dict[str, str], library: dict[str, str], archive: Path) -> Entry:
    width, depth, height = (float(keys[key]) / 100 for key in ("width", "depth", "height"))
    if not 0 < min(width, depth, height) <= max(width, depth, height) < 1000:
        raise ValueError(f"a size of {keys['width']} x {keys['depth']} x {keys['height']} cm")
    top = float(keys["dropOnTopElevation"]) / 100 if "dropOnTopElevation" in keys else height
    rotation = tuple(float(number) for number in keys["modelRotation"].split()) if "modelRotation" in keys else None
    if rotation is not None and len(rotation) != 9:
        raise ValueError(f"a rotation of {len(rotation)} numbers")
    return Entry(
        name=keys["id"],
        title=keys["name"],
        archive=archive,
        file=keys["model"].lstrip("/"),
        size=(width, depth, height),
        elevation=float(keys.get("elevation", 0)) / 100,
        top=top if top >= 0 else None,
        rotation=rotation,
        creator=keys.get("creator", "unknown"),
        licence=_licence(keys.get("license", library.get("license", ""))),
    )


def _licence(text: str) -> str:
    for start, name in _LICENCES:
        if text.startswith(start):
            return name
    raise ValueError(f"the licence {text!r} is not known")
