"""A converted Sa2VA against Sa2VA's own way to answer, written here with stock transformers from its description
(2501.04001) and its published code: greedy generation, the state at each [SEG], SAM 2 prompted by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer

from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint, convert_grounding, convert_internvl
from perceptio.checkpoints.conversion.internvl import internvl_config
from perceptio.decoding.engine import decode
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.model.loading import load_depth_tokenizer
from perceptio.pipeline import Perceptio
from perceptio.pretrained.folder import read_object
from perceptio.pretrained.weights import read_weights
from perceptio.tokens import Switch, parse

SAM, FCS = "grounding_encoder.sam2_model.", "text_hidden_fcs."
SEG = 300
STEPS = 24
QUESTION = "Please segment the cube."


class Reference:
    """The published model's steps, one after the other."""

    def __init__(self, folder: Path) -> None:
        weights = read_weights(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        image_token = self.tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
        config = internvl_config(read_object(folder / "config.json"), image_token)
        own = {name: value for name, value in weights.items() if not name.startswith((SAM, FCS))}
        config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
        self.vlm = convert_internvl(own, config).float().eval()
        sam = {name.removeprefix(SAM): value for name, value in weights.items() if name.startswith(SAM)}
        self.sam = convert_grounding(sam).eval()
        self.fcs = {name.removeprefix(FCS): value for name, value in weights.items() if name.startswith(FCS)}

    @torch.no_grad()
    def answer(self, image: Image.Image, question: str) -> tuple[str, list[np.ndarray]]:
        picture = f"<img>{'<IMG_CONTEXT>' * 64}</img>"
        text = f"<|im_start|>user\n{picture}\n{question}<|im_end|>\n<|im_start|>assistant\n"
        ids = torch.tensor([self.tokenizer.encode(text)])
        found = self.vlm.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels(image.resize((128, 128)))[None],
            max_new_tokens=STEPS,
            do_sample=False,
            eos_token_id=self.tokenizer.convert_tokens_to_ids("<|im_end|>"),
            pad_token_id=0,
            output_hidden_states=True,
            return_dict_in_generate=True,
        )
        written = found.sequences[0, ids.shape[1] :]
        states = torch.cat([step[-1][0] for step in found.hidden_states])  # of the prompt, then of each token fed back
        at_seg = states[-(len(written) - 1) :][written[:-1] == SEG]
        features = self.sam.get_image_embeddings(pixels(image.resize((1024, 1024)))[None])  # Pillow's bicubic
        masks = [self.mask(features, state, image.size) for state in at_seg]
        return self.tokenizer.decode(written), masks

    def mask(self, features: list[Tensor], state: Tensor, size: tuple[int, int]) -> np.ndarray:
        """(2, H, W) bool: enlarged at once, and in two steps."""
        hidden = F.relu(F.linear(state, self.fcs["0.weight"], self.fcs["0.bias"]))
        prompt = F.linear(hidden, self.fcs["2.weight"], self.fcs["2.bias"])
        # as SAM 2 encodes "no click": a padding point with the label -1, padded once more for the absent box
        sparse, dense = self.sam.prompt_encoder(
            input_points=torch.zeros(1, 1, 1, 2),
            input_labels=-torch.ones(1, 1, 1, dtype=torch.int64),
            input_boxes=None,
            input_masks=None,
        )
        *high, low = features
        logits, iou, _, _ = self.sam.mask_decoder(
            image_embeddings=low,
            image_positional_embeddings=self.sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=torch.cat([sparse, prompt[None, None, None]], 2),
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=high,
        )
        best = logits[:, 0, iou[0, 0].argmax()]
        large = F.interpolate(best[None], (1024, 1024), mode="bilinear", align_corners=False)
        twice, once = (F.interpolate(each, size[::-1], mode="bilinear")[0, 0] for each in (large, best[None]))
        return np.stack([(each.sigmoid() > 0.5).numpy() for each in (once, twice)])


def pixels(image: Image.Image) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.from_numpy(np.array(image)).float() / 255 - mean) / std).permute(2, 0, 1)


@pytest.fixture
def converted(parts: Path, sa2va: Path) -> Perceptio:
    depth = load_depth_tokenizer(parts / "depth")
    model, processor, _ = convert_checkpoint(sa2va, depth, tiles=1)
    return Perceptio(model, processor)


def test_a_converted_model_answers_with_the_same_words_and_masks(sa2va: Path, converted: Perceptio) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    text, expected = Reference(sa2va).answer(image, QUESTION)
    answer = converted.ask(image, QUESTION, constrained=False, max_new_tokens=STEPS)
    assert answer.trace.raw == text
    assert 1 < text.count("[SEG]") < STEPS
    assert "[SEG]" not in answer.text
    assert len(answer.masks) == len(expected) > 1
    for found, (once, twice) in zip(answer.masks, expected, strict=True):
        assert (found.array == once).all()
        # Sa2VA enlarges to SAM 2's square first: of these masks of noise, pixels at borders differ
        assert (found.array != twice).mean() < 0.02


def test_the_grammar_lets_it_answer_as_it_was_taught(converted: Perceptio) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    prompt = converted.processor.prepare([image], [QUESTION])
    start = (prompt["input_ids"], prompt["attention_mask"], prompt["pixel_values"])
    ids = []
    for constrained in (False, True):
        options = DecodingOptions((Switch.AUTO,), (Switch.OFF,), constrained, max_new_tokens=STEPS)
        ids.append(decode(converted.model, prefill(converted.model, *start), options)[0].ids)
    parsed = parse(converted.model.config.vocabulary, ids[0])
    assert parsed.segments
    assert parsed.text_ids
    assert ids[0] == ids[1]
