"""A teacher's codes are those that training writes for the teacher's map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import Sample, Turn
from perceptio.depth.teacher_codes import teacher_codes
from perceptio.depth.teachers.loading import load_teacher
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.pipeline import Perceptio


def test_they_are_those_that_training_writes_for_the_map(tiny: Perceptio, depth_anything: Path) -> None:
    teacher = load_teacher(depth_anything)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (height, 70, 3), dtype=np.uint8)) for height in (50, 90)]
    codes = teacher_codes(teacher, tiny.model.depth_tokenizer, pictures)
    assert codes.shape == (2, 16)
    assert codes.dtype == torch.int64
    turn = Turn("Show the depth map.", "Here is the depth map.", task="depth", depth=True)
    for row, picture in enumerate(pictures):
        sample = Sample(np.asarray(picture), (turn,), depth=teacher.inverse_depth(picture))
        packed = collate([pack_sample(sample, tiny.processor, tiny.model.config, rng)], 0)
        written = PackedObjective(tiny.model).write_codes(PackedBatch(**packed))
        assert torch.equal(written, codes[row : row + 1])
