"""Pre-annotations for Label Studio."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.results import Mask
from perceptio.results.annotations import annotated, write_annotations
from perceptio.results.label_studio import labeling_config

from .conftest import answer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools


def test_tasks_hold_the_masks_as_polygons_in_per_cent(tmp_path: Path) -> None:
    array = np.zeros((40, 30), bool)
    array[2:10, 3:9] = array[20:33, 11:29] = True
    found = answer(masks=[Mask(array, 0.5, "the <red> cube"), Mask(~array, 1.0)])
    path = tmp_path / "tasks.json"
    picture = tmp_path / "my photos" / "ä&b.png"
    empty = answer(masks=[], depth=False)
    entries = annotated([(picture, found), (tmp_path / "b.png", empty)])
    assert write_annotations(path, entries, "label-studio") == 2
    first, second = json.loads(path.read_text())
    assert first["data"]["image"].startswith("/data/local-files/?d=")
    assert unquote(first["data"]["image"].partition("?d=")[2]) == "my photos/ä&b.png"
    assert "&" not in first["data"]["image"].partition("?d=")[2]
    (prediction,) = first["predictions"]
    assert prediction["score"] == 0.75
    assert [each["value"]["polygonlabels"] for each in prediction["result"]] == [["the <red> cube"]] * 2 + [["object"]]
    assert len({each["id"] for each in prediction["result"]}) == 3
    for each in prediction["result"]:
        assert (each["type"], each["from_name"], each["to_name"]) == ("polygonlabels", "label", "image")
        assert (each["original_width"], each["original_height"], each["image_rotation"]) == (30, 40, 0)
        assert each["value"]["closed"]
    percent = [np.array(each["value"]["points"]) for each in prediction["result"][:2]]
    outlines = [(points / 100 * (30, 40)).ravel().tolist() for points in percent]
    np.testing.assert_array_equal(coco.decode(coco.merge(coco.frPyObjects(outlines, 40, 30))).astype(bool), array)
    assert second["predictions"] == [{"model_version": "perceptio", "result": []}]


def test_pictures_elsewhere_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out" / "tasks.json"
    path.parent.mkdir()
    with pytest.raises(ValueError, match="lies elsewhere"):
        write_annotations(path, annotated([(tmp_path / "a.png", answer())]), "label-studio")
    assert list(path.parent.iterdir()) == []


def test_no_pictures_are_an_empty_list(tmp_path: Path) -> None:
    assert write_annotations(tmp_path / "tasks.json", [], "label-studio") == 0
    assert json.loads((tmp_path / "tasks.json").read_text()) == []


def test_interface_names_what_the_tasks_name() -> None:
    root = ElementTree.fromstring(labeling_config(["a <b>", 'c "d"', "a <b>"]))
    labels, image = root.find("PolygonLabels"), root.find("Image")
    assert labels is not None
    assert image is not None
    assert (labels.get("name"), labels.get("toName"), image.get("name")) == ("label", "image", "image")
    assert image.get("value") == "$image"
    assert [each.get("value") for each in labels] == ["a <b>", 'c "d"']
