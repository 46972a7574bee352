r"""Which option an answer settles on: one written rule for marked points and multiple choice, no second model as judge.

`choose_option` takes the first of these steps that finds a letter:

1. The whole answer is one letter, of either case, with or without marks around it: "B", "(b)", "B.", "$B$".
2. The whole answer is the text of exactly one option.
3. The last letter that is said to be the answer: after "answer", "answer is:", "option is", "I choose", "\boxed{",
   "not A but" and the like; before "is the answer", "is correct"; or alone in the last sentence: "B.", "So point B."
4. The last one said to be nearest: "the closest point is B", "B is closer", "B is in front".
5. The answer opens with "X.", "X)", "(X)", of either case, or "X:", "X,", "X -", and no other letter opens a line so.
6. The last letter named by "point X", "option X", "choice X" or "letter X".
7. The only letter in brackets: "(X)" or "[X]".
8. The text of exactly one option is said word for word; inside a longer option's text it does not count.
9. One capital letter stands in the answer, once or often, and no other.

Otherwise the answer is None: unreadable, and so wrong. A letter counts only if it stands alone (no letter, digit or
hyphen beside it, no "'s" behind it) and is not denied ("not B", "rather than B", "B is wrong"); of letters that are
compared or joined ("than B", "A or B"), none settles an answer. In steps 3 to 9

- a capital "A" before a word is the article, unless the word cannot follow one ("A is", "A at", "A and", "A because"),
  or the letter is in brackets or named ("Point A lies"); a capital "I" before a word is the pronoun;
- a lower-case letter counts in brackets, or after a word that introduces a letter (steps 3, 4 and 6) when a mark, the
  end or such a word comes next: "answer: b", "point a is".

Markdown, LaTeX, full-width and invisible characters make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from perceptio.data.answer_wording import (
    AFTER_ALONE,
    ALONE,
    AND,
    ANSWER_IS,
    AT_START,
    CAPITAL_LABEL,
    COMMA,
    COMPARED,
    DENIED,
    END,
    ENDS,
    IS_ANSWER,
    IS_NEAREST,
    LABEL,
    LETTER,
    LIST_GOES_ON,
    NAMED,
    NEAREST_IS,
    REJECTED,
    WHOLE,
    WORD_FOLLOWS,
    bare,
)

_REACH = 100  # characters around a letter that are looked at


@dataclass(frozen=True)
class _Mention:
    """A letter in an answer that counts as one."""

    letter: str  # a capital
    capital: bool  # as it was written
    settles: bool  # neither compared nor joined with another
    bracketed: bool
    first: bool  # the answer begins with it
    before: str  # at most _REACH characters
    after: str  # likewise


def choose_option(text: str, letters: str, options: Sequence[str] = ()) -> str | None:
    """The letter an answer settles on, by the steps at the top of this file.

    Args:
        text: the answer's words.
        letters: the letters there are to choose from, capitals, such as "ABCD".
        options: the text of each letter's option, in the order of `letters`; none where points are marked.

    Returns:
        One of `letters`, or None if the answer cannot be read.
    """
    plain = bare(text)
    whole = WHOLE.fullmatch(plain)
    if whole and whole[1].upper() in letters:
        return whole[1].upper()
    by_text = _only(
        [letter for letter, option in zip(letters, options, strict=False) if _folded(option) == _folded(text)]
    )
    if by_text:
        return by_text
    mentions = list(_mentions(plain, letters))
    settling = [mention for mention in mentions if mention.settles]
    return (
        _last(settling, _is_answer)
        or _last(settling, lambda one: bool(NEAREST_IS.search(one.before) or IS_NEAREST.match(one.after)))
        or _opening(settling, plain, letters)
        or _last(settling, lambda one: bool(NAMED.search(one.before)))
        or _only([one.letter for one in settling if one.bracketed])
        or _said(plain, letters, [bare(option) for option in options])
        or (_only([one.letter for one in mentions if one.capital]) if settling else None)
    )


def _mentions(text: str, letters: str) -> Iterator[_Mention]:
    found = [match for match in LETTER.finditer(text) if match[0].upper() in letters]
    joined, begin = _joined(text, found), re.search(r"\w", text)
    for match in found:
        letter, capital = match[0].upper(), match[0].isupper()
        before = text[max(0, match.start() - _REACH) : match.start()]
        after = text[match.end() : match.end() + _REACH]
        if DENIED.search(before) or REJECTED.match(after):
            continue
        first = begin is not None and begin.start() == match.start()
        bracketed = before[-1:] in ("(", "[") and after[:1] in (")", "]")
        named = bool(NAMED.search(before))
        if capital:
            spoken = (letter == "A" and WORD_FOLLOWS.match(after)) or (letter == "I" and re.match(" [a-z]", after))
            counts = bracketed or named or not spoken
        else:
            introduced = named or ANSWER_IS.search(before) or NEAREST_IS.search(before)
            counts = bracketed or bool(introduced and ENDS.match(after)) or bool(first and LABEL.match(after))
        if counts:
            settles = match.start() not in joined and not COMPARED.search(before)
            yield _Mention(letter, capital, settles, bracketed, first, before, after)


def _joined(text: str, found: Sequence[re.Match[str]]) -> set[int]:
    """Places of letters that stand beside another one: "A and B", "A, B or C"."""
    joined: set[int] = set()
    for one, two in pairwise(found):
        between = text[one.end() : two.start()]
        listed = COMMA.fullmatch(between) and LIST_GOES_ON.match(text[two.end() : two.end() + _REACH])
        if one[0].upper() != two[0].upper() and (AND.fullmatch(between) or listed):
            joined |= {one.start(), two.start()}
    return joined


def _is_answer(mention: _Mention) -> bool:
    before, after = mention.before, mention.after
    alone = ALONE.search(before) and END.match(after) and not AFTER_ALONE.search(before)
    return bool(ANSWER_IS.search(before) or IS_ANSWER.match(after) or alone)


def _opening(mentions: Sequence[_Mention], text: str, letters: str) -> str | None:
    """The letter that an answer opens with, unless it repeats all options or opens other lines with other letters."""
    labels = [
        mention
        for mention in mentions
        if (CAPITAL_LABEL if mention.capital else LABEL).match(mention.after) and AT_START.search(mention.before)
    ]
    place = 0
    for letter in letters:
        label = re.compile(rf"(?<!\w){letter}[.):]").search(text, place)
        if label is None:
            return _only([label.letter for label in labels]) if labels and labels[0].first else None
        place = label.end()
    return None


def _last(mentions: Sequence[_Mention], fits: Callable[[_Mention], bool]) -> str | None:
    found = [mention.letter for mention in mentions if fits(mention)]
    return found[-1] if found else None


def _said(text: str, letters: str, options: Sequence[str]) -> str | None:
    """The option whose text is said, if there is exactly one."""
    rest = _folded(text)
    said = set()
    for option in sorted({_folded(option) for option in options}, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)"
        if option and re.search(pattern, rest):
            said.add(option)
            rest = re.sub(pattern, "|", rest)  # "red" inside "dark red" has not been said
    return _only([letter for letter, option in zip(letters, options, strict=False) if _folded(option) in said])


def _folded(text: str) -> str:
    """Lower case, single spaces, no mark at the end."""
    return " ".join(text.casefold().split()).rstrip(".! ")


def _only(letters: Sequence[str]) -> str | None:
    return letters[0] if len(set(letters)) == 1 else None
