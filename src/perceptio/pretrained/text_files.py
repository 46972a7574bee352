"""The text tokenizer of a folder: its files checked, then read by transformers without any code of the folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from perceptio.files import read_lines
from perceptio.pretrained.fields import (
    FLAG,
    TEXT,
    Field,
    Fields,
    choice,
    either,
    number,
    optional,
    read_fields,
    required,
    several,
    shown,
)
from perceptio.pretrained.folder import ModelError, check_files, naming, read_object

_MOST_TOKENS = 10_000_000
_CONTROL = re.compile(r"<.*>|\[.*\]")  # no merge makes these
_TOKEN = Field(
    "a token",
    lambda value: isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("content"), str)),
)
_NAMED = Field("a section of tokens", lambda value: isinstance(value, dict) and all(map(_TOKEN.holds, value.values())))
_TOKENS = several(_TOKEN, 0, 1_000_000)
_SIDE = choice("left", "right")
_FIELDS: Fields = {
    "tokenizer_class": optional(TEXT),
    "eos_token": _TOKEN,
    "pad_token": required(_TOKEN),
    "bos_token": optional(_TOKEN),
    "unk_token": optional(_TOKEN),
    "sep_token": optional(_TOKEN),
    "cls_token": optional(_TOKEN),
    "mask_token": optional(_TOKEN),
    "start_image_token": _TOKEN,
    "end_image_token": _TOKEN,
    "context_image_token": _TOKEN,
    "video_token": _TOKEN,
    "additional_special_tokens": optional(either(_TOKENS, _NAMED)),
    "extra_special_tokens": either(_TOKENS, _NAMED),
    "model_specific_special_tokens": _NAMED,
    "model_max_length": optional(number(1, 1e40)),
    "padding_side": _SIDE,
    "truncation_side": _SIDE,
    "add_prefix_space": optional(FLAG),
    "add_bos_token": optional(FLAG),
    "add_eos_token": optional(FLAG),
    "clean_up_tokenization_spaces": optional(FLAG),
    "split_special_tokens": FLAG,
    "errors": choice("replace", "strict", "ignore"),
    "added_tokens_decoder": Field(
        "a section of numbered tokens",
        lambda value: _NAMED.holds(value) and all(map(str.isdecimal, value)),
    ),
    "auto_map": choice(None),
}


def read_text_tokenizer(folder: Path, named: dict[str, str] | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer.

    Args:
        folder: with its files.
        named: tokens to know by name: `tokenizer.NAME`.

    Raises:
        ModelError: if a file is missing or damaged; it is named.
    """
    check_files(folder)
    path = folder / "tokenizer_config.json"
    with naming(path):
        read_fields(read_object(path), _FIELDS)
    if (folder / "tokenizer.json").is_file():
        _check_ids(folder / "tokenizer.json")
    else:
        _check_merges(folder / "merges.txt", _read_vocabulary(folder / "vocab.json"))
    options: dict[str, Any] = {"extra_special_tokens": named} if named else {}
    try:
        with _catching_panics():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True, **options
            )
    except ImportError:
        raise
    except Exception as error:  # of the library that reads tokenizer.json, which raises no other
        raise ModelError(f"{_suspects(folder)} cannot be used: {' '.join(str(error).split())}") from error
    return tokenizer


@contextmanager
def _catching_panics() -> Iterator[None]:
    """What its authors took for impossible ends the library in a panic, which is no `Exception`."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizer is damaged: {error}") from error


def _suspects(folder: Path) -> str:
    """The files that a tokenizer fails to be read from."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return f"{folder / 'vocab.json'}, merges.txt or tokenizer_config.json"
    try:
        with _catching_panics():
            Tokenizer.from_file(str(path))
    except Exception:  # it raises no other
        return str(path)
    return str(folder / "tokenizer_config.json")


def _check_ids(path: Path) -> None:
    """The library makes a list as long as the largest number of a token."""
    stored = read_object(path)
    model, added = stored.get("model"), stored.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    numbers = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    numbers += [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    odd = [found for found in numbers if type(found) is not int or not 0 <= found < _MOST_TOKENS]
    if odd:
        raise ModelError(f"{path} is damaged: it gives a token the number {shown(odd[0])}")


def _read_vocabulary(path: Path) -> dict[str, int]:
    vocabulary = read_object(path)
    if not vocabulary or not all(type(number) is int and 0 <= number < _MOST_TOKENS for number in vocabulary.values()):
        raise ModelError(f"{path} is damaged: a vocabulary gives each token a number")
    return vocabulary


def _check_merges(path: Path, vocabulary: dict[str, int]) -> None:
    """Without one of its merges a tokenizer would read a word as other tokens than the model knows it by."""
    made: set[str] = set()
    with naming():
        for line, text in read_lines(path):
            parts = text.split(" ")
            if len(parts) != 2:
                raise ModelError(f"{path}:{line} is damaged: a merge is two tokens, not {text[:60]!r}")
            made.add("".join(parts))
    unmade = (token for token in vocabulary if len(token) > 1 and token not in made and not _CONTROL.fullmatch(token))
    lost = next(unmade, None)
    if lost is not None:
        raise ModelError(f"{path} is cut short: no merge makes the token {lost[:60]!r} of vocab.json")
