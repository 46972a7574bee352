"""Settings in YAML, read to plain values: what is written is what is meant, or it is refused with its line.

Words are read by YAML 1.2: `1e-4` is a number, `yes`, `12:30` and `2026-11-28` are text. Of the language's other
traps, a setting that stands twice is refused, as are tags (`!!python/object`) and aliases that grow without bound.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MOST = 20_000  # values, those behind aliases counted each time
_DIGITS = 30  # of a whole number: Python refuses to read thousands
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|nan)", re.IGNORECASE)
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq")}


class _Loader(yaml.SafeLoader):
    """Takes every word as text: what it means is decided here."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own attribute


def parse_yaml(text: str, where: str) -> Any:
    """The value of one YAML document; None if there is none.

    Args:
        text: of the document.
        where: the file, with which a message begins.

    Raises:
        ValueError: if it is not valid, or holds what only surprises; with the line.
    """
    try:
        return _Values(where).value(yaml.compose(text, _Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(text for text in (error.context, error.problem) if text)
        hint = ": indent with spaces" if r"\t" in problem else ""
        raise ValueError(f"{where}:{mark.line + 1 if mark else 1} is not valid YAML: {problem}{hint}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deep") from error


class _Values:
    """Nodes of a document -> values."""

    def __init__(self, where: str) -> None:
        self.where, self.count = where, 0

    def refuse(self, node: Node, reason: str) -> ValueError:
        return ValueError(f"{self.where}:{node.start_mark.line + 1}: {reason}")

    def value(self, node: Node | None) -> Any:
        if node is None:
            return None
        self.count += 1
        if self.count > _MOST:
            raise self.refuse(node, f"with what aliases repeat there are more than {_MOST:,} values")
        if node.tag not in _PLAIN_TAGS:
            raise self.refuse(node, f"the tag {node.tag} is not read: write a plain value")
        if isinstance(node, MappingNode):
            return self._mapping(node)
        if isinstance(node, SequenceNode):
            return [self.value(item) for item in node.value]
        return self._scalar(node) if node.style is None else node.value

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        seen: set[str] = set()
        for key, item in node.value:
            if not isinstance(key, ScalarNode):
                raise self.refuse(key, "a name is due before the colon, not a list or a mapping")
            if key.value in seen:
                raise self.refuse(key, f"{key.value!r} stands twice: leave one of them out")
            seen.add(key.value)
            if key.value == "<<" and key.style is None:
                merged = self._merged(item)
            else:
                own[key.value] = self.value(item)
        return merged | own

    def _merged(self, node: Node) -> dict[str, Any]:
        """What `<<` brings: a mapping, or several of which an earlier one wins."""
        found = self.value(node)
        parts = found if isinstance(found, list) else [found]
        merged: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, dict):
                raise self.refuse(node, "<< merges a mapping, or a list of mappings")
            merged = part | merged
        return merged

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) < _DIGITS else float(text)  # too large for any setting, which will say so
        if _SPECIAL.fullmatch(text):
            return float(text.replace(".", "", 1))
        return float(text) if _FLOAT.fullmatch(text) else text
