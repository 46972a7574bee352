"""Text of ids, token by token: what `Tokenizer.decode` makes of all of them, for constant work a token.

The stream of the library itself raises, waits without end, or says what it would have to take back, where a model
writes bytes that are no UTF-8.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from tokenizers import Tokenizer

_REPLACEMENT = "\ufffd"  # what half a character decodes to
_CONTEXT = 4  # tokens: as many as a character of UTF-8 has bytes
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte of SentencePiece's; a run of them is decoded as one, or as none


class Detokenizer:
    """Gives each piece of text as soon as no later token can change it; see `PerceptioProcessor.detokenizer`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._context: deque[int] = deque(maxlen=_CONTEXT)  # the last tokens whose text is known
        self._bytes: list[int] = []  # the run of bytes after them
        self._known = ""  # the text of the context, of which a last half character is not out yet

    def push(self, token: int) -> str:
        """What is certain after another token."""
        name = self._tokenizer.id_to_token(token)
        if name is None:
            return ""  # beyond the vocabulary: it has no text
        if _BYTE.fullmatch(name):
            self._bytes.append(token)
            return ""
        piece = self._after([*self._bytes, token])
        self._context.extend([*self._bytes, token])
        self._bytes = []
        self._known = self._decode(self._context)
        return piece.removesuffix(_REPLACEMENT)

    def held(self) -> str:
        """The text that later tokens may change, as it stands."""
        return self._after(self._bytes)

    def _after(self, tokens: Sequence[int]) -> str:
        out = len(self._known.removesuffix(_REPLACEMENT))
        return self._decode([*self._context, *tokens])[out:] if tokens else self._known[out:]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))
