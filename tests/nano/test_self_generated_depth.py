"""Depth codes that the model writes before it is taught: as in use, and the same when a run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.templates import DEPTH, pick
from perceptio.nano.self_generated_depth import write_depth
from perceptio.pipeline import Perceptio
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore

SEED = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    return render_split(tmp_path_factory.mktemp("scenes"), "train", 5, size=128, workers=1, progress=False)


def test_they_are_what_the_model_answers_with(
    tiny: Perceptio, store: SceneStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perceptio.nano.self_generated_depth._BATCH", 2)
    scenes = [4, 0, 2]
    written = write_depth(tiny.model, tiny.processor, store, scenes, tmp_path, SEED)
    images = [Image.fromarray(store[scene].rgb) for scene in scenes]
    questions = [pick(DEPTH, np.random.default_rng((SEED, scene))) for scene in scenes]
    answers = tiny.ask_batch(images, questions, seg="off", depth="on")
    assert written == {
        scene: tuple(answer.depth.codes.flatten().tolist())
        for scene, answer in zip(scenes, answers, strict=True)
        if answer.depth
    }
    assert len(set(written.values())) > 1  # they depend on the picture
    assert not tiny.model.training


def test_a_run_that_goes_on_reads_what_it_read_before_and_another_does_not(
    tiny: Perceptio, store: SceneStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_depth(tiny.model, tiny.processor, store, [1, 3], tmp_path, SEED)
    other = write_depth(tiny.model, tiny.processor, store, [1, 0], tmp_path, SEED)  # of another run
    assert other[1] == first[1]
    assert write_depth(tiny.model, tiny.processor, store, [1, 3], tmp_path, SEED) == first
    monkeypatch.setattr("perceptio.nano.self_generated_depth._write", None)  # nothing is written again
    assert write_depth(tiny.model, tiny.processor, store, [1, 3], tmp_path, SEED) == first
    (tmp_path / "00000.safetensors").write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"00000\.safetensors is damaged .*: remove it"):
        write_depth(tiny.model, tiny.processor, store, [1, 3], tmp_path, SEED)
