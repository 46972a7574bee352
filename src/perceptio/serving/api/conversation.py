"""OpenAI's messages as one question about one picture, with the turns before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.schemas.chat_request import (
    AssistantMessage,
    ImagePart,
    SystemMessage,
    TextPart,
    UserMessage,
)

_MOST_PICTURES = 8  # texts that may name the one picture


@dataclass(frozen=True)
class Conversation:
    """What messages say."""

    pictures: dict[str, str]  # what names the picture, and the field where it stands
    prompt: str  # the last question
    history: tuple[tuple[str, str], ...]  # earlier questions and answers
    ignored: tuple[str, ...]  # fields without effect


@dataclass
class _Reading:
    system: list[str] = field(default_factory=list)
    turns: list[tuple[list[str], list[str]]] = field(default_factory=list)  # of each, questions and answers
    pictures: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)


def read_conversation(messages: Sequence[SystemMessage | UserMessage | AssistantMessage]) -> Conversation:
    """What messages say. Texts of one message, and messages of one role in a row, are lines of one text.

    Raises:
        ApiError: 400 if their order has no sense here, or there is no picture.
    """
    reading = _Reading()
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        if message.name is not None:
            reading.ignored["messages.name"] = None
        match message:
            case SystemMessage():
                _instruct(reading, message, where)
            case UserMessage():
                _ask(reading, message, where)
            case AssistantMessage():
                _answer(reading, message, where)
    if not reading.turns or reading.turns[-1][1]:
        raise _wrong("the last message must be a question of the user", "messages")
    if not reading.pictures:
        raise _wrong("there is no picture: add an image_url part to a message of the user", "messages")
    if len(reading.pictures) > _MOST_PICTURES:
        raise _wrong("a conversation is about one picture", "messages")
    questions = ["\n".join(filter(None, texts)) for texts, _ in reading.turns]
    questions[0] = "\n\n".join(filter(None, ["\n".join(reading.system), questions[0]]))
    answers = ["\n".join(texts) for _, texts in reading.turns]
    history = tuple(zip(questions[:-1], answers[:-1], strict=True))
    return Conversation(reading.pictures, questions[-1], history, tuple(reading.ignored))


def _instruct(reading: _Reading, message: SystemMessage, where: str) -> None:
    if reading.turns:
        raise _wrong("instructions of the system must stand before the first question", where)
    reading.system.append(_text(reading, message.content))


def _ask(reading: _Reading, message: UserMessage, where: str) -> None:
    if not reading.turns or reading.turns[-1][1]:
        reading.turns.append(([], []))
    content = message.content
    parts: Sequence[TextPart | ImagePart] = (
        [TextPart(type="text", text=content)] if isinstance(content, str) else content
    )
    _note_marks(reading, parts)
    for place, part in enumerate(parts):
        if isinstance(part, TextPart):
            reading.turns[-1][0].append(part.text)
            continue
        reading.pictures.setdefault(part.image_url.url, f"{where}.content.{place}.image_url.url")
        if part.image_url.detail not in (None, "auto"):
            reading.ignored["image_url.detail"] = None


def _answer(reading: _Reading, message: AssistantMessage, where: str) -> None:
    if not reading.turns:
        raise _wrong("an answer must follow a question of the user", where)
    reading.turns[-1][1].append(_text(reading, message.content or ""))


def _text(reading: _Reading, content: str | list[TextPart]) -> str:
    if isinstance(content, str):
        return content
    _note_marks(reading, content)
    return "\n".join(part.text for part in content)


def _note_marks(reading: _Reading, parts: Sequence[TextPart | ImagePart]) -> None:
    if any(part.prompt_cache_breakpoint is not None for part in parts):
        reading.ignored["prompt_cache_breakpoint"] = None


def _wrong(message: str, param: str) -> ApiError:
    return ApiError(400, message, "invalid_messages", param)
