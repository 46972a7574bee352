"""A very small randomly initialised model that the tests of decoding, the pipeline and the command line share."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported: no test reaches the network

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.build import Sizes, build_model, build_processor
from perceptio.model.text_tokenizer import IMAGE_TOKENS, PADDING, TURN_END, TURN_START, train_tokenizer
from perceptio.pipeline import Perceptio
from perceptio.tokens import DEPTH_START, SEG

SIZES = Sizes(
    image=128,
    patch=8,
    vision_width=32,
    vision_layers=1,
    vision_heads=2,
    text_width=64,
    text_layers=2,
    text_heads=2,
    text_mlp=96,
    context=1024,
)
DEPTH = DepthTokenizerConfig(image_size=32, downsample=8, codes=16, code_dim=8, width=16, blocks=1)
TEXTS = [
    "Where is the red cube? The red cube is left of the blue ball.",
    "Segment the small green cone. Show the depth map. Which point is nearer, A or B?",
    "[perception: seg=on depth=off] How many balls are there? There are 3 balls on the table.",
]
LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,"


@pytest.fixture
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 300 tokens, not extended with spatial tokens yet; fresh for each test."""
    return train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Perceptio model with random weights, large enough in scale that its answers vary with what it reads."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, 300)
    model = build_model(tokenizer, DEPTH, SIZES)
    with torch.no_grad():
        for weight in model.vlm.model.language_model.layers.parameters():
            if weight.dim() == 2:
                weight.normal_(std=0.25)
        embeddings = model.vlm.get_input_embeddings().weight
        embeddings.normal_()
        # longer rows win more often: readable letters above raw bytes, and now and then an end, a segment, a span
        letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in LETTERS]
        embeddings[letters] *= 1.2
        embeddings[tokenizer.convert_tokens_to_ids([SEG, DEPTH_START, TURN_END])] *= 1.6
        silent = [PADDING, TURN_START, *IMAGE_TOKENS.values()]  # a trained model does not write them
        embeddings[tokenizer.convert_tokens_to_ids(silent)] *= 0.05
        model.depth_tokenizer.codebook.normal_()
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    build_processor(tokenizer, SIZES).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Perceptio:
    """The model of `tiny_folder`, loaded as a user would on the CPU; no test may change it."""
    return Perceptio.from_pretrained(tiny_folder, device="cpu")
