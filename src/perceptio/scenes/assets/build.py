"""Make a pack from Debian's packages."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tqdm import tqdm

from perceptio.files import check_writable_folder, refuse_foreign
from perceptio.processes import check_workers, end_with_parent
from perceptio.scenes.assets.catalogue import Entry, read_catalogue
from perceptio.scenes.assets.classes import TABLES, ObjectClass, read_classes, read_names, read_surface_files
from perceptio.scenes.assets.models import PreparedModel, prepare_model
from perceptio.scenes.assets.packages import FURNITURE, Packages, open_packages
from perceptio.scenes.assets.skipped import AssetError, Skipped
from perceptio.scenes.assets.surfaces import read_surface
from perceptio.scenes.assets.writing import PackWriter

_LIBRARIES = "usr/share/sweethome3d/furniture"
_CARRIERS = ("floor", "wallside", "small", "street")  # roles on which things may stand


@dataclass(frozen=True)
class Built:
    """What was packed and what was not."""

    models: int
    classes: int
    surfaces: int
    triangles_before: int
    triangles: int
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]  # sentences
    content_hash: str


def build_pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tables: Path = TABLES,
    workers: int | None = None,
) -> Built:
    """Make a pack; the same packages give the same bytes.

    Args:
        source: folder with packages, unpacked by `dpkg -x` or as `.deb` files.
        target: folder of the pack; an older pack is replaced.
        tables: folder of the written tables.
        workers: processes, one a core by default; 1 works in this process.

    Raises:
        AssetError: if the furniture is missing, no surface picture is found, or a table is damaged.
        OutputError: if the pack cannot be written.
        ModuleNotFoundError: without the extra `assets`.
    """
    for module in ("trimesh", "meshoptimizer"):  # before the work, and in this process
        import_module(module)
    refuse_foreign(target, "pack.json")
    check_writable_folder(target)
    workers = workers or os.cpu_count() or 1
    check_workers(workers - 1)
    classes = read_classes(tables)
    surface_files = read_surface_files(tables)
    skipped: list[Skipped] = []
    writer = PackWriter()
    with open_packages(source, sorted({FURNITURE, *(file.package for file in surface_files)})) as packages:
        todo, notes = _entries(packages, source, classes, tables, skipped), packages.other_versions()
        for file in surface_files:
            surface = read_surface(file, packages)
            if isinstance(surface, Skipped):
                skipped.append(surface)
            else:
                writer.add_surface(*surface)
        if not writer.surfaces:
            raise AssetError(f"{source} holds none of the surface pictures: scripts/fetch_assets.sh fetches them")
        before, lost = 0, 0
        for (_, noun, held_out), made in zip(todo, _prepare(todo, classes, workers), strict=True):
            if isinstance(made, Skipped):
                skipped.append(made)
                continue
            _add(writer, made, classes[noun], held_out)
            before += made.triangles_before
            lost += bool(made.lost)
        if lost:
            notes.append(f"textures that their library lacks, so that parts are plain: {lost} of the models")
        content_hash = writer.write(target, classes, packages.versions)
    return Built(
        models=len(writer.models),
        classes=len({model.noun for model in writer.models}),
        surfaces=len(writer.surfaces),
        triangles_before=before,
        triangles=sum(model.indices for model in writer.models) // 3,
        skipped=tuple(skipped),
        notes=tuple(notes),
        content_hash=content_hash,
    )


_Job = tuple[Entry, str, bool]  # with its noun, and whether it is held out


def _entries(
    packages: Packages,
    source: str | os.PathLike[str],
    classes: dict[str, ObjectClass],
    tables: Path,
    skipped: list[Skipped],
) -> list[_Job]:
    """The models to pack, sorted by name."""
    libraries = sorted(packages.path(FURNITURE, _LIBRARIES).glob("*.sh3f")) if FURNITURE in packages else []
    if not libraries:
        raise AssetError(f"{source} holds no package {FURNITURE}: scripts/fetch_assets.sh fetches it")
    names = read_names(classes, tables)
    todo: list[_Job] = []
    there: set[str] = set()
    for library in libraries:
        entries, damaged = read_catalogue(library)
        skipped += damaged
        there |= {entry.name for entry in entries} | {each.name for each in damaged}
        for entry in entries:
            named = names.get(entry.name)
            if named is None:
                skipped.append(Skipped(entry.name, "the tables do not name them"))
            elif classes[named.noun].role == "none":
                skipped.append(Skipped(entry.name, "the world has no use for them"))
            else:
                todo.append((entry, named.noun, named.held_out))
    skipped += [Skipped(name, "this version of the package lacks them") for name in sorted(set(names) - there)]
    return sorted(todo, key=lambda job: job[0].name)


def _prepare(todo: list[_Job], classes: dict[str, ObjectClass], workers: int) -> Iterator[PreparedModel | Skipped]:
    entries, roles = [entry for entry, _, _ in todo], [classes[noun].role for _, noun, _ in todo]
    if workers == 1:
        yield from _shown(map(prepare_model, entries, roles), len(todo))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(todo) or 1), mp_context=context, initializer=end_with_parent)
    try:
        yield from _shown(pool.map(prepare_model, entries, roles), len(todo))
    except BrokenProcessPool as error:
        raise AssetError("a process was killed, often for want of memory: run the same command again") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _shown(results: Iterable[PreparedModel | Skipped], count: int) -> Iterator[PreparedModel | Skipped]:
    yield from tqdm(results, "models", total=count, unit="model", disable=None)


def _add(writer: PackWriter, made: PreparedModel, kind: ObjectClass, held_out: bool) -> None:
    entry = made.entry
    writer.add_model(
        name=entry.name,
        noun=kind.noun,
        size=entry.size,
        mesh=made.mesh,
        looks=made.looks,
        textures=made.textures,
        elevation=entry.elevation,
        top=entry.top if kind.role in _CARRIERS else None,
        held_out=held_out,
        color=made.color,
        creator=entry.creator,
        licence=entry.licence,
    )
