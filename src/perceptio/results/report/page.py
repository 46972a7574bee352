"""The page: one section for each answer, and the same for a notebook.

What the words point at is lit up by CSS alone (`:has`), so that no script is needed and none is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from perceptio.files import replacing
from perceptio.results.answer import Answer
from perceptio.results.mask import Mask
from perceptio.results.report.pictures import cell_colors, depth_picture, outlines, picture
from perceptio.results.report.tokens import raw_tokens
from perceptio.results.report.words import text_with_phrases
from perceptio.visualize.masks import COLORS

_STYLE = Path(__file__).with_name("style.css")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # a browser refuses all else


@dataclass(frozen=True)
class Asked:
    """An answer with what it is an answer to."""

    answer: Answer
    question: str = ""
    title: str = ""  # such as the name of the picture's file


@contextmanager
def writing_page(path: str | os.PathLike[str]) -> Iterator[Callable[[Asked], None]]:
    """Yield a function that adds an answer to one page; the file appears when the block ends well.

    Raises:
        OutputError: if the file cannot be written.
    """
    with replacing(path) as beside, beside.open("wb") as file:

        def add(asked: Asked) -> None:
            file.write(_encoded(section(asked)))

        file.write(_encoded(page_begin()))
        yield add
        file.write(_encoded(page_end()))


def page_begin() -> str:
    """What stands before the first section."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Perceptio</title>\n<style>{_style()}</style>\n</head>\n"
        '<body class="perceptio-page">\n<main>\n'
    )


def page_end() -> str:
    """What stands after the last section."""
    return "</main>\n</body>\n</html>\n"


def section(asked: Asked) -> str:
    """One answer as an element of a page."""
    answer = asked.answer
    heads = [
        f'<p class="file">{escape(asked.title)}</p>' if asked.title else "",
        f"<h1>{escape(asked.question)}</h1>" if asked.question else "",
    ]
    parts = [*heads, _said(answer), _notes(answer), _figures(answer), _tokens(answer), _times(answer)]
    return f'<article class="perceptio">{_rules(len(answer.masks))}{"".join(parts)}</article>\n'


def inline(answer: Answer) -> str:
    """One answer for a notebook: text and pictures, with their own style."""
    parts = [_said(answer), _notes(answer), _figures(answer)]
    return (
        f'<div class="perceptio perceptio-inline"><style>{_style()}</style>{_rules(len(answer.masks))}'
        f"{''.join(parts)}</div>"
    )


def _said(answer: Answer) -> str:
    return f'<p class="said">{text_with_phrases(answer.text, answer.masks)}</p>'


def _notes(answer: Answer) -> str:
    notes = list(answer.trace.malformed)
    if answer.trace.no_target and not answer.masks:
        notes.append("Nothing found to segment.")
    if not answer.trace.ended:
        notes.append("The answer was cut short: its budget of tokens was spent.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _figures(answer: Answer) -> str:
    figures = []
    if answer.image is not None:
        masks = f'<ul class="legend">{_legend(answer.masks)}</ul>' if answer.masks else ""
        view = picture(answer.image, "the picture") + outlines(answer.masks)
        figures.append(f'<figure><div class="view">{view}</div><figcaption>{masks}</figcaption></figure>')
    if answer.depth is not None:
        scale = '<p class="scale"><span>far</span><span class="ramp"></span><span>near</span></p>'
        view = depth_picture(answer.depth.unit, "the depth map: bright is near")
        figures.append(f'<figure><div class="view">{view}</div><figcaption>{scale}</figcaption></figure>')
    return f'<div class="figures">{"".join(figures)}</div>' if figures else ""


def _legend(masks: list[Mask]) -> str:
    """A box for each mask, that shows or hides it."""
    return "".join(
        f'<li><label class="c{number} key w{number}"><input type="checkbox" class="t{number}" checked>'
        f"{escape(mask.label(number))}</label></li>"
        for number, mask in enumerate(masks, 1)
    )


def _tokens(answer: Answer) -> str:
    if not answer.trace.raw:
        return ""
    depth = answer.depth
    layout = () if depth is None else (cell_colors(depth.unit, depth.codes), depth.codes.shape[1])
    return f'<h2>Tokens</h2><p class="tokens">{raw_tokens(answer.trace.raw, *layout)}</p>'


def _times(answer: Answer) -> str:
    seconds = {stage: float(value) for stage, value in answer.trace.seconds.items() if value >= 0.0005}
    total = sum(seconds.values())
    if not total:
        return ""
    bars = "".join(
        f'<span class="bar b{number % 6}" style="flex-grow:{value / total:.4f}"></span>'
        for number, value in enumerate(seconds.values())
    )
    names = "".join(
        f'<li><span class="dot b{number % 6}"></span>{escape(stage)} <b>{value * 1000:.0f} ms</b></li>'
        for number, (stage, value) in enumerate(seconds.items())
    )
    head = f"<h2>Time <small>{total:.2f} s, {answer.trace.tokens} tokens</small></h2>"
    return f'{head}<div class="bars" aria-hidden="true">{bars}</div><ul class="times">{names}</ul>'


def _rules(count: int) -> str:
    """The style that ties words and boxes to as many masks."""
    rules = [
        f".perceptio .c{number}{{--c:rgb({','.join(map(str, COLORS[(number - 1) % len(COLORS)]))})}}"
        f".perceptio:has(.t{number}:not(:checked)) .m{number}{{display:none}}"
        f".perceptio:has(.w{number}:is(:hover,:focus,:focus-within)) .mask.m{number}"
        "{opacity:1;fill-opacity:.62}"
        f".perceptio:has(.m{number}:hover) .w{number}{{background:var(--c);color:#111}}"
        for number in range(1, count + 1)
    ]
    return f"<style>{''.join(rules)}</style>" if rules else ""


def _style() -> str:
    ramp = ",".join(f"rgb({','.join(map(str, color))})" for color in _ramp())
    return _STYLE.read_text(encoding="utf-8").replace("RAMP", ramp)


def _ramp() -> np.ndarray:
    from perceptio.visualize.depth import color_table

    return color_table()[:: 255 // 15]


def _encoded(text: str) -> bytes:
    """UTF-8; what it cannot hold, such as a byte of a file's name that is no letter, becomes a reference."""
    return text.encode("utf-8", "xmlcharrefreplace")
