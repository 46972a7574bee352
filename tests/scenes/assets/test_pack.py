"""Reading a pack."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from perceptio.scenes.assets.pack import Pack, PackError


@pytest.fixture
def folder(pack_folder, tmp_path):
    return shutil.copytree(pack_folder, tmp_path / "pack")


def test_arrays_fit_together(folder):
    pack = Pack(folder)
    vertices = len(pack.positions)
    assert pack.positions.shape == pack.normals.shape == (vertices, 3)
    assert (pack.uv.shape, pack.material.shape) == ((vertices, 2), (vertices,))
    assert [array.dtype for array in (pack.positions, pack.indices, pack.material)] == ["float32", "uint32", "int32"]
    assert pack.textures.shape[1:] == (128, 128, 4)
    assert pack.surface_images.shape == (len(pack.surfaces), 256, 256, 3)
    assert pack.materials[:, 3].max() == len(pack.textures) - 1
    np.testing.assert_allclose(np.linalg.norm(pack.normals, axis=1), 1, atol=1e-5)
    ends = [model.first_index + model.indices for model in pack.models]
    assert [model.first_index for model in pack.models] == [0, *ends[:-1]]
    assert ends[-1] == len(pack.indices)


def test_each_model_has_its_own_vertices_and_its_size(folder):
    pack, seen = Pack(folder), set()
    for model in pack.models:
        used = pack.indices[model.first_index : model.first_index + model.indices]
        assert seen.isdisjoint(used.tolist())
        seen |= set(used.tolist())
        np.testing.assert_allclose(np.ptp(pack.positions[used], axis=0), model.size, rtol=1e-4)


def test_holes_are_sharp(folder):
    alpha = Pack(folder).textures[..., 3]
    assert set(np.unique(alpha)) == {0, 255}


@pytest.mark.parametrize("name", ["meshes.npz", "textures.jpg", "holes.png", "surfaces.jpg"])
@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_damaged_files_are_one_sentence(folder, name, harm):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content if harm == "changed" else content[:-40])
    pack = Pack(folder)
    with pytest.raises(PackError, match=name) as caught:
        _ = pack.positions, pack.textures, pack.surface_images
    assert "\n" not in str(caught.value)


def test_a_damaged_list_is_refused(folder):
    path = folder / "pack.json"
    content = json.loads(path.read_text())
    content["models"][0]["noun"] = "throne"
    path.write_text(json.dumps(content))
    with pytest.raises(PackError, match="damaged"):
        Pack(folder)
    path.write_text(path.read_text()[:500])
    with pytest.raises(PackError, match="damaged"):
        Pack(folder)
    path.write_text(json.dumps({**content, "format": 99}))
    with pytest.raises(PackError, match="99"):
        Pack(folder)


def test_a_folder_without_a_pack_is_refused(tmp_path):
    with pytest.raises(PackError, match="no pack"):
        Pack(tmp_path)
