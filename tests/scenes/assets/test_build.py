"""From packages to a pack: sizes, axes, what is left out and said."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perceptio.scenes.assets import packages
from perceptio.scenes.assets.build import Built, build_pack
from perceptio.scenes.assets.pack import Model, Pack
from perceptio.scenes.assets.simplify import MOST_TRIANGLES
from perceptio.scenes.assets.skipped import AssetError, summary

pytest.importorskip("trimesh")
pytest.importorskip("meshoptimizer")
SIZE = np.array([1.0, 0.5, 1.5])  # metres, as the catalogue says


@pytest.fixture(scope="module")
def built(pristine) -> Built:
    return build_pack(pristine / "source", pristine / "pack", tables=pristine / "tables", workers=1)


@pytest.fixture(scope="module")
def pack(built, pristine) -> Pack:
    return Pack(pristine / "pack")


def named(pack: Pack, name: str) -> Model:
    return next(model for model in pack.models if model.name == f"Tiny#{name}")


def faces_of(pack: Pack, name: str) -> np.ndarray:
    """The triangles (T, 3) of a model."""
    model = named(pack, name)
    return pack.indices[model.first_index : model.first_index + model.indices].reshape(-1, 3)


def test_models_have_the_catalogues_sizes_with_the_foot_at_zero(pack):
    for model in pack.models:
        corners = pack.positions[faces_of(pack, model.name.removeprefix("Tiny#"))].reshape(-1, 3)
        tolerance = 2e-3 if model.noun in ("ball", "window") else 1e-4
        np.testing.assert_allclose(corners.max(0), (*SIZE[:2] / 2, SIZE[2]), atol=tolerance)
        np.testing.assert_allclose(corners.min(0), (*-SIZE[:2] / 2, 0), atol=tolerance)
        np.testing.assert_allclose(model.size, SIZE)


def test_fields_of_the_catalogue_and_the_tables_arrive(pack):
    box, plain = named(pack, "box"), named(pack, "plain")
    assert (box.noun, box.top, box.held_out, box.elevation) == ("crate", 1.2, True, 0.0)
    assert (box.creator, box.licence) == ("Ada €", "CC0-1.0")
    assert (plain.top, plain.held_out, plain.elevation) == (None, False, 0.25)
    assert named(pack, "lost").top == 1.5  # where the catalogue says nothing, things stand on the highest point
    assert named(pack, "car").top is None
    assert pack.classes["crate"].synonyms == (("thing", "things"),)
    assert pack.packages == {"surfaces-data": "1", "sweethome3d-furniture": "1.8-1"}


def test_the_axes_of_a_file_become_the_models(pack):
    faces = faces_of(pack, "box")
    top = np.unique(faces[(pack.normals[faces][..., 2] > 0.99).all(1)])
    at = {tuple(pack.uv[vertex]): pack.positions[vertex] for vertex in top}
    # x, y, z of the file: (0, 4, 0), (0, 4, 6), (2, 4, 6); its front is at z = 6
    np.testing.assert_allclose(at[0, 0], (-0.5, 0.25, 1.5), atol=1e-4)
    np.testing.assert_allclose(at[1, 0], (-0.5, -0.25, 1.5), atol=1e-4)
    np.testing.assert_allclose(at[1, 1], (0.5, -0.25, 1.5), atol=1e-4)


def test_a_rotation_comes_before_the_scaling(pack):
    # the file's y becomes its z, its z its -y; the box has the catalogue's size all the same
    faces, turned = faces_of(pack, "box"), faces_of(pack, "turned")
    top = faces[(pack.normals[faces][..., 2] > 0.99).all(1)]
    face = turned[(pack.normals[turned][..., 1] < -0.99).all(1)]  # what looked up looks to the front
    heights = {tuple(pack.uv[vertex]): pack.positions[vertex][2] for vertex in np.unique(face)}
    for vertex in np.unique(top):  # what lay at the back stands on top
        assert heights[tuple(pack.uv[vertex])] == pytest.approx(1.5 if pack.positions[vertex][1] > 0 else 0, abs=1e-4)


def test_textures_stand_upright(pack):
    model_faces = faces_of(pack, "box")
    layer = int(pack.materials[pack.material[model_faces[0, 0]], 3])
    texture = pack.textures[layer]
    np.testing.assert_allclose(texture[10, 64, :3], (210, 20, 20), atol=12)  # row 0 is v = 0, the picture's lower edge
    np.testing.assert_allclose(texture[-10, 64, :3], (20, 160, 30), atol=12)
    assert (texture[..., 3] == 255).all()
    assert pack.materials[pack.material[model_faces[0, 0]], 4] == pytest.approx(0.5)


def test_colours_are_named_where_one_is_safe(pack):
    assert named(pack, "plain").color == "blue"
    assert named(pack, "box").color is None  # red below, green above


def test_glass_is_left_out_of_windows_and_dark_in_vehicles(pack):
    assert len(faces_of(pack, "pane")) == 10
    assert len(faces_of(pack, "car")) == 12
    assert pack.normals[faces_of(pack, "pane")][..., 1].min() > -0.01  # the pane is the front
    looks = pack.materials[pack.material[faces_of(pack, "car")[:, 0]]]
    assert (looks[:, :3].max(1) < 0.1).sum() == 2


def test_heavy_models_are_reduced_and_keep_their_seam(pack, built):
    faces = faces_of(pack, "ball")
    assert 0.9 * MOST_TRIANGLES < len(faces) <= MOST_TRIANGLES
    assert built.triangles_before > 4 * len(faces)
    uv, corners = pack.uv[faces], pack.positions[faces]
    assert np.ptp(uv[..., 0], axis=1).max() < 0.5  # no triangle runs across the whole picture
    # v tells the height, before and after
    height = 0.5 - np.cos(np.pi * uv[..., 1]) / 2
    assert abs(height - corners[..., 2] / SIZE[2]).max() < 0.02


def test_what_is_skipped_is_named_with_its_reason(built):
    reasons = {each.name: each.reason for each in built.skipped}
    assert set(reasons) == {
        *(f"Tiny#{name}" for name in ("nan", "broken", "empty", "plug", "unnamed", "gone")),
        "surfaces-data/usr/share/surfaces/bands.png",
        "surfaces-data/usr/share/surfaces/gone.png",
        "other-data/usr/share/other.png",
    }
    assert "other-data" in reasons["other-data/usr/share/other.png"]
    assert len(set(reasons.values())) == 9
    assert (built.models, built.surfaces, built.classes) == (7, 2, 4)
    assert any("1 of the models" in note for note in built.notes)  # the one whose texture is lost
    assert Counter(line.split()[0] for line in summary(built.skipped)) == {"1": 9}


def test_credits_name_every_model_and_surface(pack):
    text = (pack.folder / "CREDITS.md").read_text(encoding="utf-8")
    assert all(f"| {model.name} | Ada € | CC0-1.0 |" in text for model in pack.models)
    assert all(f"| {surface.name} | Bob | CC0-1.0 |" in text for surface in pack.surfaces)


def test_the_same_packages_give_the_same_bytes_with_any_number_of_workers(built, pack, source, tables, tmp_path):
    again = build_pack(source, tmp_path / "again", tables=tables, workers=2)
    assert again == built
    for path in pack.folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_another_version_is_said(source, tables, tmp_path, monkeypatch):
    monkeypatch.setitem(packages.VERSIONS, "surfaces-data", "2")
    built = build_pack(source, tmp_path / "pack", tables=tables, workers=1)
    assert any("surfaces-data" in note and "version 1" in note for note in built.notes)


def test_a_missing_package_of_furniture_is_named_and_nothing_is_written(source, tables, tmp_path):
    shutil.rmtree(source / "usr/share/doc/sweethome3d-furniture")
    with pytest.raises(AssetError, match="sweethome3d-furniture"):
        build_pack(source, tmp_path / "pack", tables=tables, workers=1)
    with pytest.raises(AssetError, match="nowhere"):
        build_pack(tmp_path / "nowhere", tmp_path / "pack", tables=tables, workers=1)
    assert not (tmp_path / "pack").exists()


def test_no_surfaces_at_all_are_refused(source, tables, tmp_path):
    shutil.rmtree(source / "usr/share/surfaces")
    with pytest.raises(AssetError, match="surface"):
        build_pack(source, tmp_path / "pack", tables=tables, workers=1)


def test_a_damaged_library_is_named(source, tables, tmp_path):
    library = source / "usr/share/sweethome3d/furniture/Tiny.sh3f"
    library.write_bytes(library.read_bytes()[:1000])
    with pytest.raises(AssetError, match=r"Tiny\.sh3f"):
        build_pack(source, tmp_path / "pack", tables=tables, workers=1)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_deb_files_are_read_like_their_trees(built, source, tables, tmp_path):
    debs = tmp_path / "debs"
    debs.mkdir()
    for package, version in (("sweethome3d-furniture", "1.8-1"), ("surfaces-data", "1")):
        tree = tmp_path / package
        shutil.copytree(source, tree)
        for other in (tree / "usr/share/doc").iterdir():
            if other.name != package:
                shutil.rmtree(other)
        (tree / "DEBIAN").mkdir()
        control = {"Package": package, "Version": version, "Architecture": "all", "Maintainer": "T <t@example.org>"}
        lines = [f"{key}: {value}\n" for key, value in {**control, "Description": "t"}.items()]
        (tree / "DEBIAN/control").write_text("".join(lines))
        subprocess.run(["dpkg-deb", "-b", str(tree), str(debs / f"{package}_{version}_all.deb")], check=True)
    assert build_pack(debs, tmp_path / "again", tables=tables, workers=1) == built
    broken = next(debs.glob("sweet*.deb"))
    broken.write_bytes(b"no archive")
    with pytest.raises(AssetError, match=broken.name):
        build_pack(debs, tmp_path / "again", tables=tables, workers=1)


def test_a_folder_of_somebody_else_is_not_replaced(source, tables, tmp_path):
    (tmp_path / "pack").mkdir()
    precious: Path = tmp_path / "pack/thesis.txt"
    precious.write_text("mine")
    with pytest.raises(OSError, match=r"thesis\.txt"):
        build_pack(source, tmp_path / "pack", tables=tables, workers=1)
    assert precious.read_text() == "mine"
