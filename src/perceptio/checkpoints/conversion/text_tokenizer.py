"""The text tokenizer of a checkpoint: its own, or another one's words with the checkpoint's own added tokens.

InternLM's tokenizers are code of their repositories, which is not run. Another folder then gives the words, such as
InternVL's `-hf` repository; but the tokens that the checkpoint added, such as Sa2VA's `[SEG]`, have trained rows, and
must keep their ids.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from perceptio.checkpoints.assemble import load_text_tokenizer
from perceptio.pretrained.folder import read_object

_CONFIG, _ADDED, _FAST = "tokenizer_config.json", "added_tokens.json", "tokenizer.json"
_FLAGS = ("special", "lstrip", "rstrip", "normalized", "single_word")


def load_checkpoint_tokenizer(folder: Path, words: Path | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer that a checkpoint was trained with.

    Args:
        folder: of the checkpoint.
        words: folder whose tokenizer gives the words; by default the checkpoint's own.

    Raises:
        ValueError: if a file is missing or damaged, the tokenizer is code, or a token that the checkpoint added would
            get another id.
    """
    if words is None:
        _refuse_code(folder)
        return load_text_tokenizer(folder)
    tokenizer = load_text_tokenizer(words)
    added = _added_tokens(folder)
    with tempfile.TemporaryDirectory() as place:
        merged = Path(place)
        tokenizer.save_pretrained(merged)
        _replace_added(merged, added, words)
        tokenizer = load_text_tokenizer(merged)
    moved = [token for number, (token, _) in added.items() if tokenizer.convert_tokens_to_ids(token) != number]
    if moved:
        raise ValueError(
            f"with the tokenizer of {words} the token {moved[0]} of {folder} would not keep its id, and so lose its "
            "trained row: name the tokenizer that the checkpoint began with"
        )
    return tokenizer


def _refuse_code(folder: Path) -> None:
    if not (folder / _CONFIG).is_file() or (folder / _FAST).is_file() or (folder / "vocab.json").is_file():
        return  # a missing file is named by whoever reads it
    if read_object(folder / _CONFIG).get("auto_map"):
        raise ValueError(
            f"the tokenizer of {folder} is code of its repository, which is not run: name a folder or hub id with the "
            "same words by --text-tokenizer, such as the -hf repository of the InternVL that it stands on"
        )


def _added_tokens(folder: Path) -> dict[int, tuple[str, dict[str, bool]]]:
    """Token and flags by id, of what the checkpoint's own tokenizer adds to its words; none where nothing says so."""
    stored: Any = read_object(folder / _CONFIG).get("added_tokens_decoder") if (folder / _CONFIG).is_file() else None
    if isinstance(stored, dict) and stored:
        where = f"{folder / _CONFIG}: added_tokens_decoder"
        return {
            _number(number, where): (
                _text(entry.get("content") if isinstance(entry, dict) else entry, where),
                {flag: entry.get(flag) is True for flag in _FLAGS} if isinstance(entry, dict) else {"special": True},
            )
            for number, entry in stored.items()
        }
    where = str(folder / _ADDED)
    names = read_object(folder / _ADDED) if (folder / _ADDED).is_file() else {}
    return {_number(number, where): (_text(token, where), {"special": True}) for token, number in names.items()}


def _number(value: Any, where: str) -> int:
    if not str(value).isdecimal():
        raise ValueError(f"{where} must give each token a number, not {value!r:.80}")
    return int(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} must name tokens, not {value!r:.80}")
    return value


def _replace_added(folder: Path, added: Mapping[int, tuple[str, dict[str, bool]]], words: Path) -> None:
    """In a saved tokenizer put these added tokens in place of its own.

    Raises:
        ValueError: if one of them would take the id of a word.
    """
    stored = json.loads((folder / _FAST).read_text(encoding="utf-8"))
    plain = Tokenizer.from_str(json.dumps({**stored, "added_tokens": []}))
    size = plain.get_vocab_size()
    for number, (token, _) in added.items():
        word = plain.id_to_token(number)
        if number < size and word != token:
            raise ValueError(
                f"the checkpoint's token {token} has the id {number}, which is {word!r} in the tokenizer of {words}: "
                "they do not belong together"
            )
    kept = [entry for entry in stored["added_tokens"] if entry["id"] < size and entry["id"] not in added]
    names = {token for token, _ in added.values()} | {entry["content"] for entry in kept}
    dropped = {entry["content"] for entry in stored["added_tokens"]} - names
    fresh = [
        {"id": number, "content": token, **dict.fromkeys(_FLAGS, False), **flags}
        for number, (token, flags) in added.items()
    ]
    stored["added_tokens"] = sorted([*kept, *fresh], key=lambda entry: entry["id"])
    (folder / _FAST).write_text(json.dumps(stored), encoding="utf-8")
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    (folder / _CONFIG).write_text(json.dumps(_without(config, dropped)), encoding="utf-8")


def _without(config: dict[str, Any], dropped: set[str]) -> dict[str, Any]:
    """Settings of a tokenizer that name none of these tokens, neither alone nor in lists."""
    left: dict[str, Any] = {}
    for name, value in config.items():
        if name == "added_tokens_decoder" or (isinstance(value, str) and value in dropped):
            continue
        if isinstance(value, dict):
            value = {key: token for key, token in value.items() if not isinstance(token, str) or token not in dropped}
        if isinstance(value, list):
            value = [token for token in value if not isinstance(token, str) or token not in dropped]
        left[name] = value
    return left
