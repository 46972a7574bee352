"""Which option an answer settles on: one written rule for marked points and multiple choice, no second model as judge.

`choose_option` takes the first of these steps that finds a letter:

1. The whole answer is one letter, of either case, with or without marks around it: "B", "(b)", "B.".
2. The whole answer is the text of exactly one option.
3. The last conclusion: a letter after "answer", "answer is", "option is", "the closest point is" and the like; or
   before "is (the) closest", "nearest", "closer", "nearer", "correct", "right", "best"; or alone in the last sentence.
4. The answer opens with "X.", "X)" or "(X)", of either case.
5. The last letter named by "point X", "option X", "choice X" or "letter X".
6. The last letter in brackets: "(X)" or "[X]".
7. The text of exactly one option is said word for word; inside a longer option's text it does not count.
8. One capital letter stands in the answer, once or often, and no other.

Otherwise the answer is None: unreadable, and so wrong. In steps 3 and 5 to 8 a letter counts only if it stands alone
(no letter, digit or hyphen beside it, no "'s" behind it) and is not denied ("not B", "isn't B"); and

- a capital "A" before a word is the article, unless the word cannot follow one ("A is", "A at", "A and", "A because"),
  or the letter is in brackets or named ("Point A lies");
- a lower-case letter counts in brackets, or after a word that introduces a letter (steps 3 and 5) when a mark, the end
  or such a word comes next: "answer: b", "point a is".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LETTER = re.compile(r"(?<![\w-])(?<!\w['’])[A-Za-z](?![\w-]|['’]\w)")
_WHOLE = re.compile(r"\W*([A-Za-z])\W*")
_OPENING = re.compile(r"\s*(?:\(([A-Za-z])\)|([A-Za-z])[.)])(?=\s|$)")

_QUOTES = r"[\"'“‘(\[]*$"  # what may stand between an introduction and its letter
_NAME = r"(?:point|option|choice|letter)"
_NAMED = re.compile(rf"\b{_NAME}\s+{_QUOTES}", re.IGNORECASE)
_DENIED = re.compile(rf"(?:\bnot|n['’]t)\s+(?:the\s+)?(?:{_NAME}\s+)?{_QUOTES}", re.IGNORECASE)
_INTRODUCED = re.compile(
    rf"(?:\banswer\s*(?:is|:)?|\b(?:option|choice|letter|point)\s*(?:is|:)"
    rf"|\b(?:closest|nearest|closer|nearer)\b[^.;:!?\n]{{0,60}}?(?:\sis|:))"
    rf"\s*(?:{_NAME}\s+)?{_QUOTES}",
    re.IGNORECASE,
)
_SENTENCE_START = re.compile(rf"(?:^|[.!?:;\n])\s*{_QUOTES}")
_TEXT_END = re.compile(r"[\"'”’)\]]*[.!]?\s*$")
_JUDGED = re.compile(
    r"[\"'”’)\]]*\s+is\s+(?:the\s+)?(?:closest|nearest|closer|nearer|correct|right|best)\b", re.IGNORECASE
)

# Words that follow a letter but never an article.
_AFTER_LETTER = (
    r"(?:is|was|has|seems|appears|looks|lies|and|or|but|than|because|since|as|while|which|at|in|on|with|for|from|to)\b"
)
_WORD = re.compile(rf"[ \t]+(?!{_AFTER_LETTER})[A-Za-z]{{2,}}")
_ENDS = re.compile(rf"\s*(?:$|[.,;:!?)\]])|\s+{_AFTER_LETTER}")
_REACH = 100  # characters before a letter that can introduce it


@dataclass(frozen=True)
class _Mention:
    """A letter in an answer that counts as one."""

    letter: str  # a capital
    capital: bool  # as it was written
    bracketed: bool
    before: str  # at most _REACH characters
    after: str


def choose_option(text: str, letters: str, options: Sequence[str] = ()) -> str | None:
    """The letter an answer settles on, by the steps at the top of this file.

    Args:
        text: the answer's words.
        letters: the letters there are to choose from, capitals, such as "ABCD".
        options: the text of each letter's option, in the order of `letters`; none where points are marked.

    Returns:
        One of `letters`, or None if the answer cannot be read.
    """
    text = text.replace("*", "").replace("`", "")  # Markdown
    whole = _WHOLE.fullmatch(text)
    if whole and whole[1].upper() in letters:
        return whole[1].upper()
    by_text = _only(
        [letter for letter, option in zip(letters, options, strict=False) if _plain(option) == _plain(text)]
    )
    if by_text:
        return by_text
    mentions = list(_mentions(text, letters))
    opening = _OPENING.match(text)
    opened = (opening[1] or opening[2]).upper() if opening else ""
    return (
        _last(mentions, _is_conclusion)
        or (opened if opened and opened in letters else None)
        or _last(mentions, lambda mention: bool(_NAMED.search(mention.before)))
        or _last(mentions, lambda mention: mention.bracketed)
        or _said(text, letters, options)
        or _only([mention.letter for mention in mentions if mention.capital])
    )


def _mentions(text: str, letters: str) -> Iterator[_Mention]:
    for match in _LETTER.finditer(text):
        letter = match[0].upper()
        before, after = text[max(0, match.start() - _REACH) : match.start()], text[match.end() :]
        if letter not in letters or _DENIED.search(before):
            continue
        bracketed = before[-1:] in ("(", "[") and after[:1] in (")", "]")
        named = bool(_NAMED.search(before))
        capital = match[0].isupper()
        if capital:
            counts = bracketed or named or letter != "A" or not _WORD.match(after)
        else:
            counts = bracketed or bool((named or _INTRODUCED.search(before)) and _ENDS.match(after))
        if counts:
            yield _Mention(letter, capital, bracketed, before, after)


def _is_conclusion(mention: _Mention) -> bool:
    alone_at_the_end = _SENTENCE_START.search(mention.before) and _TEXT_END.match(mention.after)
    return bool(_INTRODUCED.search(mention.before) or _JUDGED.match(mention.after) or alone_at_the_end)


def _last(mentions: Sequence[_Mention], fits: Callable[[_Mention], bool]) -> str | None:
    found = [mention.letter for mention in mentions if fits(mention)]
    return found[-1] if found else None


def _said(text: str, letters: str, options: Sequence[str]) -> str | None:
    """The option whose text is said, if there is exactly one."""
    rest = _plain(text)
    said = set()
    for option in sorted({_plain(option) for option in options}, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
        if option and re.search(pattern, rest):
            said.add(option)
            rest = re.sub(pattern, "|", rest)  # "red" inside "dark red" has not been said
    return _only([letter for letter, option in zip(letters, options, strict=False) if _plain(option) in said])


def _plain(text: str) -> str:
    """Lower case, single spaces, no mark at the end."""
    return " ".join(text.casefold().split()).rstrip(".! ")


def _only(letters: Sequence[str]) -> str | None:
    return letters[0] if len(set(letters)) == 1 else None
