"""One precision for the whole vision-language model, whatever its files and their sections say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import InternVLForConditionalGeneration

from perceptio.checkpoints.assemble import assemble, load_vlm
from perceptio.checkpoints.export import export
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.model.loading import load, load_depth_tokenizer
from perceptio.pipeline import Perceptio
from perceptio.training.finetune.lora import LoraPlan
from perceptio.training.finetune.run import Finetune
from perceptio.training.finetune.settings import DataPlan, FinetuneRecipe, TuningPlan
from perceptio.training.finetune.tuning_data import TuningData

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
PARTS = [
    pytest.param((name, tied), id=f"{name}-{'tied' if tied else 'untied'}", marks=marks)
    for name in TYPES
    for tied in (False, True)
    for marks in [() if name == "bfloat16" and not tied else pytest.mark.slow]  # as the published ones
]
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))


@pytest.fixture(params=PARTS)
def made(request: pytest.FixtureRequest, parts: Path, tmp_path: Path) -> Path:
    """A model that `init` made of parts in some precision, named in each section as in the published files."""
    name, tied = request.param
    folder = tmp_path / "vlm"
    shutil.copytree(parts / "vlm", folder)
    vlm = load_vlm(folder)
    if tied:
        config = vlm.config
        config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
        vlm = InternVLForConditionalGeneration(config)
    vlm.to(TYPES[name]).save_pretrained(folder)
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    for section in (stored, stored["text_config"], stored["vision_config"]):
        section |= {"dtype": name, "torch_dtype": name}
    path.write_text(json.dumps(stored))
    model, processor, _ = assemble(folder, parts / "sam", load_depth_tokenizer(parts / "depth"), tiles=1)
    assert model.vlm.dtype == TYPES[name]
    assert model.config.tie_word_embeddings is tied
    out = tmp_path / "made"
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out


def types(model: torch.nn.Module) -> set[torch.dtype]:
    return {parameter.dtype for parameter in model.parameters()}


def answer(folder: Path, dtype: torch.dtype | None = None) -> str:
    model = Perceptio(*load(folder, device="cpu", dtype=dtype))
    assert types(model.model.vlm) == {dtype or torch.float32}
    for part in (model.model.sam, model.model.depth_tokenizer, model.model.projector):
        assert types(part) == {torch.float32}
    found = model.ask(IMAGE, "Where?", seg="on", depth="on", max_new_tokens=40)
    assert found.depth is not None
    return found.trace.raw


def test_a_model_answers_in_any_precision(made: Path) -> None:
    for dtype in (None, *TYPES.values()):
        answer(made, dtype)


def test_an_export_is_in_the_one_precision_that_was_asked_for(made: Path, tmp_path: Path) -> None:
    for name, dtype in TYPES.items():
        model, processor = load(made, device="cpu")
        export(model, processor, tmp_path / name, "native", dtype)
        assert answer(tmp_path / name)
        export(model, processor, tmp_path / f"{name}-internvl", "internvl", dtype)
        plain = InternVLForConditionalGeneration.from_pretrained(tmp_path / f"{name}-internvl", dtype="auto")
        assert types(plain) == {dtype}


class Square(Dataset[Sample]):
    """One sample, as often as it is asked for."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, visit: int) -> Sample:
        ids = np.zeros((64, 64), np.uint8)
        ids[16:40, 16:40] = 1
        turns = (Turn("Segment it.", "Here is <p>it</p>.", "referring", masks=(1,), depth=True),)
        depth = np.linspace(-1, 1, 64, dtype=np.float32)[:, None].repeat(64, 1)
        return Sample(np.full((64, 64, 3), 120, np.uint8), turns, "square", IdMap(ids), depth)


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_one_step_of_training(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool) -> None:
    for module in ("training.finetune.run", "training.trainer"):  # bfloat16 is emulated on most processors
        monkeypatch.setattr(f"perceptio.{module}.computes_bfloat16", lambda: True)
    plan = TuningPlan(steps=1, global_batch=2, bf16=bf16, workers=0, save_every=1)
    changes = {"order": "interleaved", "mask_gate": True}  # of the base, by the recipe
    recipe = FinetuneRecipe("one", str(made), DataPlan({}), lora=LoraPlan(rank=2, alpha=4), tuning=plan, **changes)
    Finetune(recipe, tmp_path / "run", TuningData(2, lambda visits: Square())).run()
    (base, said), (tuned, taught) = (load(folder, device="cpu") for folder in (made, tmp_path / "run"))
    assert (base.config.order, base.config.mask_gate, said.switch_words) == ("spans_first", False, False)
    assert (tuned.config.order, tuned.config.mask_gate, taught.switch_words) == ("interleaved", True, True)
    before, after = base.state_dict(), tuned.state_dict()
    assert before.keys() == after.keys()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert changed == {"vlm", "sam", "projector"}
    assert answer(tmp_path / "run")
