"""Pickles of plain data, from whoever wrote them: lists, tuples, dictionaries with names, text, numbers, nothing else.

A pickle is a program. Here only the instructions that build such values are known, each of which takes no more memory
than it has bytes: the C reader of Python sets a table up to any number that a file names, and a pure one cannot.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

_KNOWN = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "TUPLE", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("LIST", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("GLOBAL", "STACK_GLOBAL"),  # of these only to say what was asked for
)


class RefusedClassError(pickle.UnpicklingError):
    """The message is the refused object."""


def read_plain_pickle(content: bytes) -> Any:
    """What a pickle holds.

    Python 2 wrote the files of the field: its byte strings must become text. The field's loaders read them as ASCII,
    the default, which UTF-8 contains.

    Raises:
        RefusedClassError: if it asks for a class or a function, which could run code of the file's choice.
        pickle.UnpicklingError: if it is damaged, or holds anything else that is not plain.
    """
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="utf-8").load()
    except RefusedClassError:
        raise
    except Exception as error:  # what damaged bytes set off has no common type
        raise pickle.UnpicklingError(f"{type(error).__name__}: {str(error)[:200]}") from error


def _set_item(reader: Any) -> None:
    value, name = reader.stack.pop(), reader.stack.pop()
    _fill(reader.stack[-1], [name, value])


def _set_items(reader: Any) -> None:
    items = reader.pop_mark()
    _fill(reader.stack[-1], items)


def _make_dictionary(reader: Any) -> None:
    found: dict[Any, Any] = {}
    _fill(found, reader.pop_mark())
    reader.append(found)


def _fill(found: Any, items: list[Any]) -> None:
    """Put keys and values, in turn, into a dictionary.

    A key that is a tuple in a tuple in a tuple ... would be hashed level by level, until the stack ends.
    """
    if type(found) is not dict:
        raise pickle.UnpicklingError(f"a value is put into {type(found).__name__}")
    for name, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(name, (str, int)):
            raise pickle.UnpicklingError(f"a key is {type(name).__name__}, not text or a number")
        found[name] = value


class _PlainUnpickler(pickle._Unpickler):  # the reader in Python, not in C
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **{getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _KNOWN},
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _make_dictionary,
    }

    def find_class(self, module: str, name: str) -> Any:
        raise RefusedClassError(f"{module}.{name}")
