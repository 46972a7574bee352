"""`perceptio init` with the defaults: every weight and every loss is the paper's or its parents'."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perceptio.checkpoints.assemble import assemble
from perceptio.cli import main
from perceptio.cli.convert import convert
from perceptio.cli.init import init
from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.design import Design
from perceptio.model.loading import load_depth_tokenizer
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.nano.build import Sizes
from perceptio.pipeline import Perceptio

LOSSES = {"text", "bce", "dice", "score", "object", "marker", "token", "count", "reconstruction"}
CHOICES = {
    "depth_positions": "sequence",
    "pointing": False,
    "sam_prompts": "alone",
    "order": "spans_first",
    "mask_gate": False,
    "depth_decoding": "exact",
}
TURNS = (
    Turn("Segment both.", "Here are <p>both cubes</p>.", "plural", masks=(2, 1)),
    Turn("How far?", "The cube is at 3.", "nearer", masks=(1,), depth=True, target="3"),
    Turn("Is there a cone?", "No.", "existence", target="no"),
)


@pytest.fixture(scope="module")
def made(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `perceptio init` writes where only the parts are named."""
    folder = tmp_path_factory.mktemp("init") / "model"
    arguments = ["init", "--vlm", parts / "vlm", "--sam", parts / "sam", "--tokenizer", parts / "depth"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["perceptio", *map(str, arguments), "--out", str(folder), "--tiles", "1"])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder


@pytest.fixture(scope="module")
def plain(made: Path) -> Perceptio:
    return Perceptio.from_pretrained(made, device="cpu")


def batch(plain: Perceptio) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    ids = np.zeros((64, 64), np.uint8)
    ids[8:30, 8:30], ids[40:60, 20:50] = 1, 2
    depth = np.linspace(-1, 1, 64, dtype=np.float32)[:, None].repeat(64, 1)
    image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    row = pack_sample(Sample(image, TURNS, "test/0", IdMap(ids), depth), plain.processor, plain.model.config, rng)
    return collate([row], plain.processor.tokenizer.pad_token_id)


def test_every_weight_belongs_to_a_parent_or_to_lisas_projection(plain: Perceptio, made: Path) -> None:
    names = [name for name, _ in plain.model.named_parameters()]
    assert {name.split(".")[0] for name in names} == {"vlm", "sam", "depth_tokenizer", "projector"}
    assert [name for name in names if name.startswith("projector.")] == [
        "projector.layers.0.weight",
        "projector.layers.0.bias",
        "projector.layers.2.weight",
        "projector.layers.2.bias",
    ]
    assert plain.model.pointer is None
    from safetensors import safe_open

    with safe_open(made / "model.safetensors", "pt") as file:
        stored = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 (no plain mapping)
    assert stored == {"vlm", "sam", "depth_tokenizer", "projector"}


def test_every_choice_is_the_papers(plain: Perceptio, made: Path) -> None:
    content = json.loads((made / "config.json").read_text())
    assert {name: content[name] for name in CHOICES} == CHOICES
    assert {name: getattr(plain.model.config, name) for name in CHOICES} == CHOICES


def test_there_is_no_other_loss(plain: Perceptio) -> None:
    objective = PackedObjective(plain.model)
    assert objective.loss_weights == asdict(LossWeights())
    assert set(objective.loss_weights) == LOSSES
    assert all(objective.loss_weights.values())
    with torch.no_grad():
        outputs = objective(**batch(plain))
    assert set(outputs["losses"]) == LOSSES
    assert all(value > 0 for value in outputs["losses"].values())
    total = sum(objective.loss_weights[name] * value for name, value in outputs["losses"].items())
    torch.testing.assert_close(outputs["loss"], total)


@torch.no_grad()
def test_the_text_loss_is_plain_cross_entropy_over_the_answers(plain: Perceptio) -> None:
    given, vocabulary = batch(plain), plain.model.config.vocabulary
    objective, packed = PackedObjective(plain.model), PackedBatch(**given)
    spatial = torch.tensor(
        [vocabulary.depth_start, *vocabulary.codes, vocabulary.depth_end]
    )  # with losses of their own
    due = (packed.targets != -100) & ~torch.isin(packed.targets, spatial)
    answers = [[*plain.processor.answer_ids(turn.answer), vocabulary.end_of_text] for turn in TURNS]
    targets = [vocabulary.seg, vocabulary.seg, *answers[0], vocabulary.seg, *answers[1], *answers[2]]
    assert packed.targets[due].tolist() == targets
    objective.write_codes(packed)
    logits = plain.model.vlm.lm_head(objective.read(packed)[due]).double()
    expected = nn.functional.cross_entropy(logits, torch.tensor(targets))
    torch.testing.assert_close(objective(**given)["losses"]["text"].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_defaults_have_one_place(parts: Path) -> None:
    assert asdict(Design()) == CHOICES
    assert {name: getattr(PerceptioConfig(), name) for name in CHOICES} == CHOICES
    assert Sizes().design == Design()
    for command in (init, convert):
        settings = inspect.signature(command).parameters
        assert settings["pointing"].default == CHOICES["pointing"]
        assert settings["depth_positions"].default == CHOICES["depth_positions"]
    depth = load_depth_tokenizer(parts / "depth")
    model, _, _ = assemble(parts / "vlm", parts / "sam", depth)
    assert {name: getattr(model.config, name) for name in CHOICES} == CHOICES
