"""A tiny Debian package of furniture, made by the tests, and tables that name its models."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

VERSION = "1.8-1"
CATALOGUE = "PluginFurnitureCatalog.properties"
MATERIALS = """newmtl painted
Kd 0.8 0.1 0.1
Ks 0.5 0.5 0.5
map_Kd bands.png
newmtl pane
Kd 0.2 0.2 0.2
d 0.2
newmtl plain
Kd 0.1 0.2 0.7
"""
LOST = """newmtl lost
Kd 0.1 0.6 0.1
map_Kd C:\\textures\\oak.jpg
"""
CORNERS = [(x, y, z) for x in (0, 2) for y in (0, 4) for z in (0, 6)]  # along the file's axes
SIDES = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))  # the last: front
# id, noun, role, body of the OBJ, and more keys of the catalogue
BOX = "\n".join(f"v {x} {y} {z}" for x, y, z in CORNERS) + "\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def faces(material: str, sides: tuple[tuple[int, ...], ...] = SIDES, uv: bool = True) -> str:
    lines = [" ".join(f"{v}/{k + 1}" if uv else str(v) for k, v in enumerate(side)) for side in sides]
    return f"usemtl {material}\n" + "".join(f"f {line}\n" for line in lines)


def sphere(rings: int) -> str:
    """A ball with a texture seam, of 4 `rings`^2 triangles but those at the poles."""
    rows, columns = np.mgrid[: rings + 1, : 2 * rings + 1]
    polar, around = np.pi * rows / rings, np.pi * columns / rings
    points = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1).reshape(
        -1, 3
    )
    uv = np.stack([columns / (2 * rings), 1 - rows / rings], -1).reshape(-1, 2)
    number = np.arange(len(points)).reshape(rings + 1, -1) + 1
    quads = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], -1).reshape(-1, 4)
    text = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in points)
    text += "".join(f"vt {u:.6f} {v:.6f}\n" for u, v in uv)
    return text + "usemtl painted\n" + "".join("f " + " ".join(f"{n}/{n}" for n in quad) + "\n" for quad in quads)


MODELS = (
    ("box", "crate", "floor", BOX + faces("painted"), {"dropOnTopElevation": "120"}),
    ("turned", "crate", "floor", BOX + faces("painted"), {"modelRotation": "1 0 0 0 0 -1 0 1 0"}),
    ("plain", "crate", "floor", BOX + faces("plain", uv=False), {"dropOnTopElevation": "-1", "elevation": "25"}),
    ("lost", "crate", "floor", BOX + faces("lost"), {}),
    ("pane", "window", "window", BOX + faces("plain", SIDES[:5]) + faces("pane", SIDES[5:]), {}),
    ("car", "car", "vehicle", BOX + faces("plain", SIDES[:5]) + faces("pane", SIDES[5:]), {}),
    ("ball", "ball", "small", sphere(72), {}),
    ("nan", "crate", "floor", BOX.replace("v 2 4 6", "v nan 4 6") + faces("plain"), {}),
    ("broken", "crate", "floor", BOX + "usemtl plain\nf 1 2 900\n", {}),
    ("empty", "crate", "floor", "v 0 0 0\n", {}),
    ("plug", "plug", "none", BOX + faces("plain"), {}),
    ("unnamed", None, None, BOX + faces("plain"), {}),
)


def bands() -> bytes:
    """A picture 64 px wide and high: its upper half green, its lower half red."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32], pixels[32:] = (20, 160, 30), (210, 20, 20)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the source, to be harmed."""
    return shutil.copytree(pristine / "source", tmp_path / "source")


@pytest.fixture
def tables(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the tables, to be harmed."""
    return shutil.copytree(pristine / "tables", tmp_path / "tables")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `source`, the unpacked packages, and `tables`, the written tables for them."""
    folder = tmp_path_factory.mktemp("assets")
    _write_source(folder / "source")
    _write_tables(folder / "tables")
    return folder


def _write_source(root: Path) -> None:
    lines = ["version=1.8", "license=Public domain"]
    furniture = root / "usr/share/sweethome3d/furniture"
    furniture.mkdir(parents=True)
    with zipfile.ZipFile(furniture / "Tiny.sh3f", "w") as archive:
        for number, (name, _, _, body, more) in enumerate(MODELS, 1):
            keys = {
                "id": f"Tiny#{name}",
                "name": "Crate",
                "model": f"/tiny/{name}/{name}.obj",
                "creator": "Ada \\u20ac",
            }
            keys |= {"width": "100", "depth": "50", "height": "150"} | more
            lines += [f"{key}#{number}={value}" for key, value in keys.items()]
            archive.writestr(f"tiny/{name}/{name}.obj", f"mtllib {name}.mtl\n{body}")
            archive.writestr(f"tiny/{name}/{name}.mtl", MATERIALS + (LOST if name == "lost" else ""))
            archive.writestr(f"tiny/{name}/bands.png", bands())
        archive.writestr(CATALOGUE, "\n".join(lines))
    _note(root, "sweethome3d-furniture", VERSION)
    _note(root, "surfaces-data", "1")
    (root / "usr/share/surfaces").mkdir()
    (root / "usr/share/surfaces/bands.png").write_bytes(bands())
    with zipfile.ZipFile(root / "usr/share/surfaces/more.zip", "w") as archive:
        archive.writestr("bands.png", bands())


def _write_tables(folder: Path) -> None:
    folder.mkdir()
    kinds = {noun: role for _, noun, role, _, _ in MODELS if noun is not None}
    classes = ["noun\tplural\tsynonyms\talso\trole\tplaces\theld_out"]
    classes += [f"{noun}\t{noun}s\tthing/things\t\t{role}\tliving|street\t0" for noun, role in kinds.items()]
    models = [
        "id\tnoun\theld_out",
        *(f"Tiny#{name}\t{noun}\t{int(name == 'box')}" for name, noun, *_ in MODELS if noun),
    ]
    models.append("Tiny#gone\tcrate\t0")
    good = hashlib.sha256(bands()).hexdigest()
    surfaces = [
        "package\tpath\tsha256\tgroup\tlicence\tcredit",
        f"surfaces-data\tusr/share/surfaces/bands.png\t{good}\tfloor\tCC0-1.0\tBob",
        f"surfaces-data\tusr/share/surfaces/more.zip!bands.png\t{good}\twall\tCC0-1.0\tBob",
        f"surfaces-data\tusr/share/surfaces/bands.png\t{'0' * 64}\tfloor\tCC0-1.0\tBob",
        f"surfaces-data\tusr/share/surfaces/gone.png\t{good}\tfloor\tCC0-1.0\tBob",
        f"other-data\tusr/share/other.png\t{good}\tsky\tCC0-1.0\tBob",
    ]
    for name, rows in (("classes", classes), ("models", models), ("surfaces", surfaces)):
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _note(root: Path, package: str, version: str) -> None:
    folder = root / "usr/share/doc" / package
    folder.mkdir(parents=True)
    with gzip.open(folder / "changelog.Debian.gz", "wt", encoding="utf-8") as file:
        file.write(f"{package} ({version}) unstable; urgency=low\n")
