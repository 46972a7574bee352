"""The words of an answer as a user reads them, and which of them each `[SEG]` is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from perceptio.tokens import Order, ParsedAnswer, extract_phrases, label_segments


def read_words(
    parsed: ParsedAnswer, order: Order, decode: Callable[[Sequence[int]], str]
) -> tuple[str, tuple[str | None, ...]]:
    """The text without marks of phrases, and the phrase of each `[SEG]`, None where it is not known.

    Args:
        parsed: the answer.
        order: of its parts.
        decode: makes text, with marks of phrases, of ids of the answer.
    """
    text = decode(parsed.text_ids)
    if order != "interleaved":
        plain, phrases = extract_phrases(text)
        return plain.strip(), label_segments(phrases, len(parsed.segments))
    before = [decode(parsed.text_ids[:count]) for count in parsed.words_before]
    phrases_before = [extract_phrases(part)[1] for part in before]
    for place in sorted({len(part) for part in before if text.startswith(part)}, reverse=True):
        if text[:place].endswith(" "):  # "It is [SEG]." is read as "It is."
            text = text[: place - 1] + text[place:]
    return extract_phrases(text)[0].strip(), tuple(phrases[-1] if phrases else None for phrases in phrases_before)
