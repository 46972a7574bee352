"""A very small randomly initialised model that the tests of decoding, the pipeline and the command line share."""

from __future__ import annotations

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported: no test reaches the network

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.design import Design
from perceptio.model.vocabulary import IMAGE_TOKENS, PADDING, TURN_END, TURN_START
from perceptio.nano.build import Sizes, build_model, build_processor
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.nano.text_tokenizer import train_tokenizer
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
    design=Design(depth_positions="image", pointing=True, mask_gate=True),
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
        model.vlm.lm_head.weight.copy_(embeddings)
        model.pointer.objectness[1] = 0.0  # what random states point at is always there
        nn.init.orthogonal_(model.pointer.next_query.weight)
        model.pointer.continuation.copy_(torch.tensor([8.0, 2.0]))  # large enough to decide now and then
        model.depth_tokenizer.codebook.normal_()
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    build_processor(tokenizer, SIZES).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Perceptio:
    """The model of `tiny_folder`, loaded as a user would on the CPU; no test may change it."""
    return Perceptio.from_pretrained(tiny_folder, device="cpu")


VLM_SPECIALS = (
    PADDING,
    TURN_START,
    TURN_END,
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
)
VLM_SIDE = 128  # of a tile, px; 64 visual tokens


def write_qwen_tokenizer(folder: Path, texts: list[str]) -> list[int]:
    """A Qwen2 tokenizer with InternVL's tokens, in the files of the published repositories. Returns their ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    ids = range(len(learnt["vocab"]), len(learnt["vocab"]) + len(VLM_SPECIALS))
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config = {
        "added_tokens_decoder": {
            str(number): {"content": token, **plain} for number, token in zip(ids, VLM_SPECIALS, strict=True)
        },
        "additional_special_tokens": list(VLM_SPECIALS[1:]),
        "eos_token": TURN_END,
        "pad_token": PADDING,
        "model_max_length": 8192,
        "extra_special_tokens": named,
        **named,
        "processor_class": "InternVLProcessor",
        "tokenizer_class": "Qwen2Tokenizer",
    }
    (folder / "vocab.json").write_text(json.dumps(learnt["vocab"]))
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in learnt["merges"]))
    (folder / "added_tokens.json").write_text(json.dumps(dict(zip(VLM_SPECIALS, ids, strict=True))))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return list(ids)


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `vlm`, `sam` and `depth`: tiny models of the true classes, in the files of the published repositories.

    The InternVL is of the kind of InternVL3: Qwen2, an untied head, an embedding padded beyond the tokenizer.
    """
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parts")
    (folder / "vlm").mkdir()
    ids = write_qwen_tokenizer(folder / "vlm", TEXTS)
    text = Qwen2Config(
        vocab_size=ids[-1] + 5,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=0.25,
        eos_token_id=ids[2],
        bos_token_id=None,
    )
    vision = InternVLVisionConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=VLM_SIDE,
        patch_size=8,
        attention_bias=True,
        initializer_range=0.2,
    )
    config = InternVLConfig(
        vision_config=vision, text_config=text, image_token_id=ids[5], image_seq_length=64, tie_word_embeddings=False
    )
    InternVLForConditionalGeneration(config).save_pretrained(folder / "vlm")
    size = {"height": VLM_SIDE, "width": VLM_SIDE}
    image_processor = {"image_processor_type": "GotOcr2ImageProcessorFast", "size": size, "crop_to_patches": False}
    mean_std = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_convert_rgb": True}
    (folder / "vlm" / "preprocessor_config.json").write_text(json.dumps({**image_processor, **mean_std}))
    processor = {"image_seq_length": 64, "processor_class": "InternVLProcessor"}
    (folder / "vlm" / "processor_config.json").write_text(json.dumps(processor))
    build_sam(nano_sam_config(VLM_SIDE)).save_pretrained(folder / "sam")
    tokenizer = DepthTokenizer(DEPTH)
    with torch.no_grad():
        tokenizer.codebook.normal_()
    tokenizer.save_pretrained(folder / "depth")
    return folder


@pytest.fixture(scope="session")
def depth_anything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Depth Anything with random weights."""
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 12],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    model = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():  # the last layer's ReLU must not silence a random network
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.2)
        model.head.conv3.bias.fill_(20.0)
    folder = tmp_path_factory.mktemp("teacher")
    model.save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True, do_pad=False
    ).save_pretrained(folder)
    return folder
