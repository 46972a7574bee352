"""Masks as `supervision.Detections`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perceptio.results import Mask
from perceptio.results.supervision import fields

SUPERVISION = Path(sys.prefix) / "supervision"  # where scripts/ensure_supervision.sh puts it
BOX = np.zeros((40, 30), bool)
BOX[5:20, 3:9] = True
MASKS = [
    Mask(BOX, 0.75, "cube"),
    Mask(np.zeros_like(BOX), 0.9, "cone"),
    Mask(~BOX, 0.5),
    Mask(BOX.T.copy().T, 0.25, "cube"),
]


def test_fields_hold_what_covers_a_pixel() -> None:
    found = fields(MASKS)
    np.testing.assert_array_equal(found["xyxy"], [[3, 5, 9, 20], [0, 0, 30, 40], [3, 5, 9, 20]])
    assert found["xyxy"].dtype == np.float32
    np.testing.assert_array_equal(found["mask"], [BOX, ~BOX, BOX])
    np.testing.assert_array_equal(found["confidence"], np.float32([0.75, 0.5, 0.25]))
    assert found["class_id"].tolist() == [0, 1, 0]
    assert found["data"]["class_name"].tolist() == ["cube", "object", "cube"]


def test_nothing_found_has_no_rows() -> None:
    found = fields([Mask(np.zeros((4, 4), bool), 1.0)])
    assert found["xyxy"].shape == (0, 4)
    assert len(found["mask"]) == len(found["confidence"]) == len(found["class_id"]) == 0


@pytest.mark.slow
@pytest.mark.skipif(not SUPERVISION.is_dir(), reason="scripts/ensure_supervision.sh was not run")
def test_supervision_takes_them() -> None:
    script = """
import numpy as np, supervision
from perceptio import Answer, Mask, Trace
box = np.zeros((40, 30), bool)
box[5:20, 3:9] = True
found = Answer("", [Mask(box, 0.75, "cube"), Mask(~box, 0.5)], None, Trace("")).to_supervision()
assert found.area.tolist() == [box.sum(), (~box).sum()]
assert found[found.confidence > 0.6]["class_name"].tolist() == ["cube"]
drawn = supervision.MaskAnnotator(opacity=1).annotate(np.zeros((40, 30, 3), np.uint8), found[0])
assert (drawn.any(-1) == box).all()
assert len(Answer("", [], None, Trace("")).to_supervision()) == 0
print("taken")
"""
    environment = {**os.environ, "PYTHONPATH": str(SUPERVISION)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "taken\n", done.stderr
