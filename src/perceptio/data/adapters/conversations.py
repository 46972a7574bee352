"""LLaVA-1.5's instruction mixture of 665k conversations -> samples of plain questions and answers.

FOLDER/llava_v1_5_mix665k.json   list of {id, image (absent: text only), conversations: [{from: human | gpt, value}]}
FOLDER/coco/train2017, gqa/images, ocr_vqa/images, textvqa/train_images, vg/VG_100K, vg/VG_100K_2

Sources, all in github.com/haotian-liu/LLaVA: the layout is that of README.md, the fields those of
docs/Finetune_Custom_Data.md and llava/train/train.py; 40,688 conversations are text only (issues 546 and 657); some of
OCR-VQA's pictures come as GIF but are named .jpg (issue 593).
Licence: CC BY-NC 4.0, and the terms of LLaMA, Vicuna and GPT-4 (README.md); pictures have those of their sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perceptio.data.adapters.source import Source
from perceptio.data.entries import name_of
from perceptio.data.errors import DataError
from perceptio.data.fields import kind, shown
from perceptio.data.schema import Sample, Turn

FILE = "llava_v1_5_mix665k.json"
PLACEHOLDER = "<image>"
OTHER_SUFFIXES = (".gif", ".png", ".jpeg")  # of pictures that the file names .jpg whatever they are


def conversations(source: Source) -> Iterator[Sample]:
    """A sample for each conversation about a picture, with a turn for each question.

    The model reads each question as if it had been asked alone, so a turn that takes up the one before it loses that.
    Conversations without a picture are left out and counted: a sample has one.

    Raises:
        DataError: if the file is missing or damaged, or pictures are missing.
    """
    content = source.json(FILE)
    path = source.folder / FILE
    if not isinstance(content, list):
        raise DataError(f"{path} is not a list of conversations: fetch the original file")
    for number, each in enumerate(content):
        if not isinstance(each, dict) or not isinstance(each.get("conversations"), list):
            raise DataError(f"entry {number} of {path} holds no conversations: fetch the original file")
        _check(each, f"entry {number} of {path}")
    pictured = [(number, each) for number, each in enumerate(content) if each.get("image")]
    source.leave_out("conversations without a picture", len(content) - len(pictured))
    places = {each["image"]: _places(source, each["image"]) for _, each in pictured}
    there = source.find("pictures", places)
    for number, each in pictured:
        where = f"entry {number} of {path}"
        picture = there.get(each["image"])
        if picture is None:
            source.leave_out("conversations whose picture is missing", where=where)
            continue
        messages = each["conversations"]
        if sum(message.get("value", "").count(PLACEHOLDER) for message in messages) != 1:
            source.leave_out(f"conversations that do not say {PLACEHOLDER} exactly once", where=where)
            continue
        turns = _turns(messages)
        if not turns:
            source.leave_out("conversations that are not questions and answers in turn", where=where)
            continue
        yield Sample(
            key=f"llava-665k/{name_of(each, 'id') if each.get('id') else number}",
            image=source.relative(picture),
            turns=turns,
            source="LLaVA-1.5 mix665k",
            licence="conversations: CC BY-NC 4.0; pictures: their owners' terms",
        )


READERS = {"llava-665k": conversations}


def _check(each: dict[str, Any], where: str) -> None:
    """Refuse an entry whose fields are of other types."""
    try:
        if each.get("id"):
            name_of(each, "id")
        if not isinstance(each.get("image", ""), (str, type(None))):
            raise ValueError(f"its image is no text but {kind(each['image'])}")
        for place, message in enumerate(each["conversations"]):
            if not isinstance(message, dict):
                raise ValueError(f"message {place} is {kind(message)}, not an object with named fields")
            if not isinstance(message.get("value", ""), str):
                raise ValueError(f"the value of message {place} is no text but {kind(message['value'])}")
    except ValueError as error:
        raise DataError(f"{where} is damaged, {error}: fetch the original file") from error


def _places(source: Source, name: str) -> list[Path]:
    """The picture as it is named, or with the suffix of another format."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{shown(name)} in {source.folder / FILE} leads out of the folder: fetch the original file")
    path = source.folder / name
    return [path, *(path.parent / f"{path.stem}{suffix}" for suffix in OTHER_SUFFIXES)]


def _turns(messages: Sequence[dict[str, Any]]) -> tuple[Turn, ...]:
    """Questions with their answers; none if the speakers do not alternate, or one of them says nothing."""
    if messages and messages[0].get("from") != "human":
        messages = messages[1:]  # as LLaVA does
    said = [message.get("value", "").replace(PLACEHOLDER, "").strip() for message in messages]
    speakers = [message.get("from") for message in messages]
    if len(messages) % 2 or speakers != ["human", "gpt"] * (len(messages) // 2) or not all(said):
        return ()
    return tuple(Turn(question, answer, "conversation") for question, answer in zip(said[::2], said[1::2], strict=True))
