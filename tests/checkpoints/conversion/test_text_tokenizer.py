"""The tokenizer of a checkpoint whose own is code: another one's words, the checkpoint's own added tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from perceptio.checkpoints.conversion.text_tokenizer import load_checkpoint_tokenizer
from perceptio.model.image_processor import make_image_processor
from perceptio.model.processing import PerceptioProcessor

WORDS = ["<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "<|im_start|>", "<|im_end|>"]
FIRST = len(WORDS)
PICTURE = ("<img>", "</img>", "<IMG_CONTEXT>")
OWN = (*PICTURE, "[SEG]", "<p>", "</p>", "<vp>", "</vp>")  # of Sa2VA
FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}


def write_words(folder: Path, *more: str) -> Path:
    """As the `-hf` repositories of InternLM: begins with <s>, and has tokens that Sa2VA lacks after the shared ones."""
    inner = Tokenizer(models.BPE({word: number for number, word in enumerate(WORDS)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([token for token in WORDS if token.startswith("<") and len(token) > 1])
    inner.add_special_tokens([*PICTURE, *more])
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    if "<video>" in more:
        named["video_token"] = "<video>"
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>", extra_special_tokens=named
    ).save_pretrained(folder)
    return folder


def write_checkpoint(folder: Path, ids: dict[str, int] | None = None) -> Path:
    """The files of Sa2VA on InternLM: a tokenizer that is code, and the tokens that were added to it."""
    folder.mkdir()
    ids = ids or {token: FIRST + number for number, token in enumerate(OWN)}
    ids |= {"<s>": 1, "</s>": 2, "<|im_end|>": FIRST - 1}
    config: dict[str, Any] = {
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "tokenizer_class": "InternLM2Tokenizer",
        "added_tokens_decoder": {str(number): {"content": token, **FLAGS} for token, number in ids.items()},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "tokenization_internlm2.py").write_text("raise SystemExit('this code must not run')")
    return folder


def test_added_tokens_keep_their_ids_and_those_of_the_other_tokenizer_go(tmp_path: Path) -> None:
    words = write_words(tmp_path / "words", "<video>")
    tokenizer = load_checkpoint_tokenizer(write_checkpoint(tmp_path / "own"), words)
    assert [tokenizer.convert_tokens_to_ids(token) for token in OWN] == list(range(FIRST, FIRST + len(OWN)))
    assert "<video>" not in tokenizer.get_vocab()
    assert len(tokenizer) == FIRST + len(OWN)
    assert tokenizer("ab [SEG].", add_special_tokens=False)["input_ids"][3] == FIRST + 3
    assert tokenizer.decode([FIRST + 3]) == "[SEG]"


def test_a_prompt_begins_as_the_tokenizer_begins_its_texts(tmp_path: Path) -> None:
    words = write_words(tmp_path / "words")
    tokenizer = load_checkpoint_tokenizer(write_checkpoint(tmp_path / "own"), words)
    processor = PerceptioProcessor(make_image_processor(56, 1), tokenizer, image_seq_length=4)
    text = f"<|im_start|>user\n<img>{'<IMG_CONTEXT>' * 4}</img>\nWhat?<|im_end|>\n<|im_start|>assistant\n"
    expected = tokenizer(text)["input_ids"]
    assert expected[0] == tokenizer.bos_token_id
    assert processor.tokens(["What?"])["input_ids"][0].tolist() == expected


def test_added_tokens_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    own = write_checkpoint(tmp_path / "own")
    (own / "tokenizer_config.json").unlink()
    (own / "added_tokens.json").write_text(json.dumps({token: FIRST + number for number, token in enumerate(OWN)}))
    tokenizer = load_checkpoint_tokenizer(own, write_words(tmp_path / "words", "<video>"))
    assert tokenizer.convert_tokens_to_ids("</vp>") == FIRST + len(OWN) - 1


@pytest.mark.parametrize(
    "ids",
    [
        {"<img>": FIRST, "</img>": FIRST + 1, "<IMG_CONTEXT>": FIRST + 2, "[SEG]": 40},  # the place of a word
        {"<img>": FIRST, "</img>": FIRST + 1, "<IMG_CONTEXT>": FIRST + 2, "[SEG]": FIRST + 9},  # out of reach
    ],
)
def test_a_trained_row_that_would_be_lost_is_refused(tmp_path: Path, ids: dict[str, int]) -> None:
    own, words = write_checkpoint(tmp_path / "own", ids), write_words(tmp_path / "words")
    with pytest.raises(ValueError, match=r"the token \[SEG\]|'s token \[SEG\]"):
        load_checkpoint_tokenizer(own, words)


def test_code_is_not_run_and_the_way_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--text-tokenizer"):
        load_checkpoint_tokenizer(write_checkpoint(tmp_path / "own"))
