"""How answers word which letter they mean: the patterns of `answer_choice`, and text without its markup.

The patterns of what stands before a letter are searched in the text up to it; those of what follows are matched there.
"""

from __future__ import annotations

import re
import unicodedata

_DROPPED = str.maketrans(
    dict.fromkeys("*`$\u00ad\u200b\u200c\u200d\u2060\ufeff", "") | {"。": ". ", "、": ", ", "→": "->", "⇒": "->"}
)
_BOX = re.compile(r"\\boxed\b|<answer>", re.IGNORECASE)
_MARKUP = re.compile(
    r"</?(?:answer|b|strong|em|p|br)\s*/?>|\\(?:text|math)?(?:bf|rm|it|tt|sf)?(?=\{)|\\[()\[\]]|[{}]"
    r"|(?<![^\W_])_+|_+(?![^\W_])",  # underlines beside a word, not within one
    re.IGNORECASE,
)

_WORD_SIGN = r"[^\W\u3000-\u9fff]"  # Chinese and Japanese are written without spaces
LETTER = re.compile(rf"(?<!{_WORD_SIGN})(?<!\w-)(?<!\w['’])[A-Za-z](?!{_WORD_SIGN}|-\w|['’]\w)")
WHOLE = re.compile(r"\W*([A-Za-z])\W*")

_OPEN, _CLOSE = r"[\"'“‘(\[]*", r"[\"'”’)\]]*"  # what may stand around a letter
_NAME = r"(?:point|option|choice|letter|answer)"
_BE = r"(?:is|was|be|seems|appears)(?:\s+to\s+be)?"
_TO_LETTER = rf"\s*(?:the\s+)?(?:{_NAME}\s+)?{_OPEN}$"
_SIGN = r"(?::|=|-+>|=+>|\s[-–—](?=\s))"
_IS = rf"(?:\s{_BE}\b|[是为]|{_SIGN})(?:\s+(?:(?:most\s+)?\w+ly|thus|therefore))?\s*{_SIGN}?"
_GAP = r"[^.;:!?\n]{0,60}?"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


# Before a letter.
NAMED = _pattern(rf"\b{_NAME}\s+{_OPEN}$")
DENIED = _pattern(
    r"(?:\bnot|n['’]t|\bcannot|\b(?:never|neither|nor|except|unlike|rather\s+than|instead\s+of|opposed\s+to|other\s+than"
    r"|over(?=\s+(?:option|choice))|rul(?:e|es|ed|ing)\s+out))(?:\s+(?:be|choose|pick|select|say|for))?"
    rf"\s+(?:the\s+)?(?:{_NAME}\s+)?{_OPEN}$"
)
COMPARED = _pattern(rf"\bthan{_TO_LETTER}")
ANSWER_IS = _pattern(
    rf"(?:(?:\banswer\b|答案)(?:{_GAP}{_IS})?|\b(?:option|choice)\b{_GAP}{_IS}|\b(?:letter|point){_IS}|选(?:项|择)?"
    r"|\b(?:choose|chose|pick|select|go(?:ing)?\s+with)\b"
    rf"|\bnot\s+(?:the\s+)?(?:{_NAME}\s+)?{_OPEN}[A-Z]{_CLOSE},?\s+but){_TO_LETTER}"
)
NEAREST_IS = _pattern(rf"\b(?:closest|nearest|closer|nearer)\b{_GAP}{_IS}{_TO_LETTER}")
_START = r"(?:^|[.!?:;\n])[\s#>–-]*"
ALONE = _pattern(rf"{_START}(?:(?:so|thus|hence|therefore|finally)\b,?\s*)?{_TO_LETTER}")
AFTER_ALONE = _pattern(rf"(?:^|[.!?:;,\n])\W*[A-Z]\W*{_OPEN}$")  # one more lone letter: a list
AT_START = _pattern(rf"(?:{_START}|,\s*){_OPEN}$")

# After a letter.
_MODAL = r"(?:is|was|are|would|should|must|could|can|does|do|may|might|will)"
REJECTED = _pattern(rf"{_CLOSE}\s+(?:{_MODAL}(?:\s+not|n['’]t)|cannot|(?:is|was)\s+(?:wrong|incorrect|false))\b")
IS_ANSWER = _pattern(
    rf"{_CLOSE}\s+(?:{_MODAL}\s+)?{_BE}\s+(?:(?:the|my)\s+)?(?:(?:(?:correct|right|best|final)\s+)?(?:answer|option"
    r"|choice)\b|(?:correct|right|best)(?=\s*(?:$|[.,;:!])|\s+(?:because|as|since|one|here)\b))"
)
IS_NEAREST = _pattern(
    rf"{_CLOSE}\s+(?:{_MODAL}\s+)?{_BE}\s+(?:(?:the\s+)?(?:closest|nearest|closer|nearer)|in\s+front)\b"
)
END = _pattern(rf"{_CLOSE}[.!]?\s*$")
LABEL = re.compile(r"[)\].](?=\s|$)")
CAPITAL_LABEL = re.compile(r"[)\].](?=\s|$)|[:;,\n]|\s+[-–—]\s|[–—]")
AND = _pattern(rf"{_CLOSE}\s*(?:\b(?:and|or|nor)\b|/|&)(?:\s+(?:maybe|perhaps|possibly))?{_TO_LETTER}")
COMMA = _pattern(rf"{_CLOSE},(?:\s*(?:and|or)\b)?{_TO_LETTER}")
LIST_GOES_ON = _pattern(rf"{_CLOSE}\s*(?:$|[.,;!?]|(?:and|or)\b)")

# Words that follow a letter but never an article.
_AFTER_LETTER = (
    r"(?:is|was|has|seems|appears|looks|lies|would|must|should|and|or|but|than|because|since|as|while|which|rather|at|in"
    r"|on|with|for|from|to)\b"
)
WORD_FOLLOWS = re.compile(rf"[ ][\"'“‘]?(?!{_AFTER_LETTER})(?:[^\W\d_]{{2,}}|\d+-?[a-z]|[A-Za-z]-[a-z])", re.IGNORECASE)
ENDS = re.compile(rf"\s*(?:$|[.,;:!?)\]])|\s+{_AFTER_LETTER}")


def bare(text: str) -> str:
    """Without markup; a run of blanks is one space or line end."""
    text = unicodedata.normalize("NFKC", text).translate(_DROPPED)
    text = _MARKUP.sub("", _BOX.sub(" answer: ", text))
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()
