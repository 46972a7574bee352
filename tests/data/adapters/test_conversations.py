"""LLaVA's mixture -> samples of questions and answers."""

from __future__ import annotations

from typing import Any

import pytest

from perceptio.data.errors import DataError

FILE = "llava_v1_5_mix665k.json"
PICTURE = "coco/train2017/000000033471.jpg"


def entry(*said: str, **more: Any) -> dict[str, Any]:
    speakers = ["human", "gpt"] * len(said)
    messages = [{"from": speaker, "value": text} for speaker, text in zip(speakers, said, strict=False)]
    return {"id": "000000033471", "image": PICTURE, "conversations": messages, **more}


TEXT_ONLY = {"id": "wgByO4Y_0", "model": "", "conversations": [{"from": "human", "value": "Hi"}]}


@pytest.fixture
def write(tmp_path, picture, write_json):
    def run(*entries: Any, pictures: tuple[str, ...] = (PICTURE,)) -> None:
        write_json(tmp_path / "data" / FILE, list(entries))
        for name in pictures:
            picture(tmp_path / "data" / name, 20, 30)

    return run


@pytest.mark.parametrize("question", ["<image>\nWhat is this?", "What is this?\n<image>"])
def test_each_question_is_a_turn_without_the_placeholder(write, converted, question) -> None:
    write(entry(question, "A bus.", "What colour is it?", "It is red."))
    (sample,) = converted("llava-665k").samples
    assert [(turn.question, turn.answer) for turn in sample.turns] == [
        ("What is this?", "A bus."),
        ("What colour is it?", "It is red."),
    ]
    assert sample.image == f"../data/{PICTURE}"
    assert not sample.masks
    assert not any(turn.depth for turn in sample.turns)
    assert "CC BY-NC 4.0" in sample.licence


def test_what_is_no_question_about_a_picture_is_counted(write, converted) -> None:
    good = entry("<image>\nWhat?", "A bus.")
    write(
        good,
        TEXT_ONLY,
        TEXT_ONLY,
        entry("<image>\n<image>\nWhich?", "Both."),
        entry("What?", "A bus."),
        entry("<image>\nWhat?"),
        entry("<image>\nWhat?", " "),
    )
    result = converted("llava-665k")
    assert len(result.samples) == 1
    assert result.done.left_out == {
        "conversations without a picture": 2,
        "conversations that do not say <image> exactly once": 2,
        "conversations that are not questions and answers in turn": 2,
    }
    assert [text.split(" of ")[0] for text in result.done.first.values()] == ["entry 3", "entry 5"]


@pytest.mark.parametrize("change", [{"conversations": ["What?"]}, {"image": ["a.jpg"]}])
def test_a_damaged_entry_is_named(write, converted, change) -> None:
    write(entry("<image>\nWhat?", "A bus."), entry("<image>\nWhat?", "A bus.") | change)
    with pytest.raises(DataError, match=r"entry 1 of .* is damaged"):
        converted("llava-665k")


def test_a_conversation_may_begin_with_the_answerer(write, converted) -> None:
    odd = entry("<image>\nWhat?", "A bus.")
    odd["conversations"].insert(0, {"from": "gpt", "value": "Hello."})
    write(odd)
    assert [turn.question for turn in converted("llava-665k").samples[0].turns] == ["What?"]


def test_a_picture_may_have_another_suffix_than_its_name(write, converted) -> None:
    write(entry("<image>\nWho wrote it?", "Me.", image="ocr_vqa/images/1.jpg"), pictures=("ocr_vqa/images/1.gif",))
    assert converted("llava-665k").samples[0].image.endswith("1.gif")


def test_missing_pictures_stop_the_conversion_or_are_counted(write, converted) -> None:
    good = entry("<image>\nWhat?", "A bus.")
    write(good, {**good, "image": "vg/VG_100K/1.jpg"}, {**good, "image": "vg/VG_100K/1.jpg"})
    with pytest.raises(DataError, match=r"^1 of 2 pictures are missing, the first is vg/VG_100K/1.jpg: put it at "):
        converted("llava-665k")
    left_out = converted("llava-665k", allow_missing=True).done.left_out
    assert left_out == {"pictures that are missing": 1, "conversations whose picture is missing": 2}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([["x"]], "entry 0 of .* holds no conversations"),
        ([{"id": "1", "conversations": "x"}], "entry 0 of .* holds no conversations"),
        ([entry("<image>\nx", "y", image="../secret.jpg")], "leads out of the folder"),
        ([entry("<image>\nx", "y", image="/etc/secret.jpg")], "leads out of the folder"),
        ([TEXT_ONLY], "no sample of llava-665k is left: 1 conversations without a picture"),
    ],
)
def test_another_format_is_one_sentence(write, converted, entries, message) -> None:
    write(*entries)
    with pytest.raises(DataError, match=message):
        converted("llava-665k")


def test_missing_and_damaged_files_are_named(tmp_path, converted, write_json) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=f"{FILE} is missing"):
        converted("llava-665k")
    write_json(tmp_path / "data" / FILE, {"a": 1})
    with pytest.raises(DataError, match="is not a list of conversations"):
        converted("llava-665k")
