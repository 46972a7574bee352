"""The web page of answers: whole, safe and tied to its masks."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.files import OutputError
from perceptio.results import Answer, Mask, Trace
from perceptio.results.report import Asked, writing_page

from ..conftest import answer

EVIL = "<script>alert(1)</script> \" ' & <img src=x onerror=alert(2)>"
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Elements with their attributes, and the text of each class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # class of the innermost element, text
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append((tag, dict(attributes).get("class") or ""))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1][1] if self._open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, kind: str) -> list[str]:
        return [text for name, text in self.texts if kind in name.split()]


def test_page_holds_everything_in_one_file() -> None:
    page = Page(answer().html(question="Where?", title="a.png"))
    assert not page.of("script") + page.of("link")
    sources = [each["src"] or "" for each in page.of("img")]
    assert [source.partition(",")[0] for source in sources] == ["data:image/jpeg;base64", "data:image/png;base64"]
    assert "url(" not in "".join(text for _, text in page.texts)
    assert any("default-src 'none'" in (each.get("content") or "") for each in page.of("meta"))
    assert any("width=device-width" in (each.get("content") or "") for each in page.of("meta"))
    assert [text for _, text in page.texts if text in ("Where?", "a.png")] == ["a.png", "Where?"]


def test_what_a_user_or_a_model_wrote_is_text() -> None:
    masks = [Mask(np.ones((40, 30), bool), 0.5, EVIL)]
    trace = Trace(f"[SEG]<p>{EVIL}</p>", [EVIL], {EVIL: 1.0}, 3)
    evil = answer(text=f"<script> {EVIL} <script>", masks=masks, trace=trace)
    for html in (evil.html(question=EVIL, title=EVIL), evil._repr_html_()):
        page = Page(html)
        assert not page.of("script")
        assert all("onerror" not in each for each in page.of("img"))
        assert page.text("word") == [EVIL]
        assert "<script" not in html
    assert "".join(page.text("note")) == EVIL


def test_words_light_up_their_masks() -> None:
    array = np.zeros((40, 30), bool)
    array[5:20, 3:9] = True
    masks = [Mask(array, 0.9, "all cubes"), Mask(~array, 0.8, "the cone"), Mask(array, 0.7, "all cubes"),
             Mask(array, 0.6, "the moon"), Mask(array, 0.5)]  # fmt: skip
    html = answer(text="Here are all cubes beside the cone, the cone.", masks=masks).html()
    page = Page(html)
    words = [each for each in page.of("span") if "word" in (each.get("class") or "").split()]
    assert page.text("word") == ["all cubes", "the cone"]
    assert [set((each["class"] or "").split()) & {f"w{n}" for n in range(1, 6)} for each in words] == [
        {"w1", "w3"},
        {"w2"},
    ]
    assert all(each["tabindex"] == "0" for each in words)  # by the keyboard too
    shapes = [each for each in page.of("g") if "mask" in (each["class"] or "").split()]
    assert [f"m{n}" in (each["class"] or "").split() for n, each in enumerate(shapes, 1)] == [True] * 5
    boxes = page.of("input")
    assert [each["class"] for each in boxes] == ["t1", "t2", "t3", "t4", "t5"]
    for number in range(1, 6):
        assert f".w{number}:is(:hover,:focus,:focus-within)) .mask.m{number}" in html
    assert [text for _, text in page.texts if text.endswith(("0.60", "0.50"))].count(
        "the moon 0.60"
    ) == 2  # title, legend
    assert "object 5 0.50" in [text for _, text in page.texts]


def test_outlines_lie_over_the_whole_picture() -> None:
    page = Page(answer().html())
    (drawing,) = page.of("svg")
    assert drawing["viewbox"] == "0 0 30 40"
    numbers = [float(value) for each in page.of("path") for value in re.findall(r"[\d.]+", each["d"] or "")]
    assert max(numbers) == 40
    assert min(numbers) == 0


def test_tokens_are_coloured_by_kind() -> None:
    codes = "".join(f"<DEPTH_{code}>" for code in range(16))
    raw = f"[SEG]<DEPTH_START>{codes}<DEPTH_END>It is <p>a<b</p>.<|im_end|>"
    page = Page(answer(trace=Trace(raw)).html())
    assert page.text("seg") == ["[SEG]"]
    assert page.text("mark") == ["<DEPTH_START>", "<DEPTH_END>"]
    assert page.text("code") == [str(code) for code in range(16)]
    assert page.text("phrase") == ["<p>", "</p>"]
    assert page.text("control") == ["<|im_end|>"]
    assert page.text("words") == ["It is ", "a<b", "."]
    (grid,) = (each for each in page.of("span") if "codes" in (each.get("class") or "").split())
    assert grid["style"] == "grid-template-columns:repeat(4,max-content)"  # the map that they are
    shades = [each["style"] for each in page.of("span") if each.get("class") == "code"]
    assert len(shades) == 16
    assert shades[0] != shades[-1]  # far, near


def test_codes_that_are_no_map_stay_grey() -> None:
    page = Page(answer(trace=Trace("<DEPTH_START><DEPTH_3><DEPTH_4>")).html())
    assert page.text("code") == ["3", "4"]
    assert all("style" not in each for each in page.of("span") if each.get("class") == "code")


def test_what_went_wrong_is_told() -> None:
    page = Page(answer(masks=[], trace=Trace("x", ["code outside"], no_target=True, ended=False)).html())
    assert len(page.text("note")) == 3


@pytest.mark.parametrize("changes", [{"image": None}, {"masks": []}, {"text": ""}, {"trace": Trace("")}])
def test_parts_may_be_missing(changes: dict[str, object]) -> None:
    for depth in (True, False):
        Page(answer(depth=depth, **changes).html())
        Page(answer(depth=depth, **changes)._repr_html_())


def test_several_answers_are_one_page(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page.html"
    with writing_page(path) as add:
        for name in ("a.png", "b\udce9.png"):  # a byte that is no letter, as the system hands it over
            add(Asked(answer(), "Where?", name))
        assert not path.exists()
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.of("article")) == 2
    assert len(page.of("img")) == 4


def test_a_failure_leaves_the_old_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("mine")
    bare = answer(masks=[Mask(np.ones((40, 30), bool), 0.5)], image=None, depth=False)
    broken = answer(depth=False, trace=Trace("", seconds={"read": None}))  # type: ignore[dict-item]
    with pytest.raises(TypeError), writing_page(path) as add:
        _add_both(add, bare, broken)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError):
        answer().save_html(tmp_path)


def _add_both(add: Callable[[Asked], None], *answers: Answer) -> None:
    for each in answers:
        add(Asked(each))


def test_save_html_writes_what_html_gives(tmp_path: Path) -> None:
    found = answer()
    path = found.save_html(tmp_path / "page.html", question="Where?", title="a.png")
    assert path.read_text(encoding="utf-8") == found.html(question="Where?", title="a.png")


def test_a_notebook_shows_it_without_a_script() -> None:
    html = answer()._repr_html_()
    page = Page(html)
    assert not page.of("script")
    assert len(page.of("img")) == 2
    assert page.text("word") == ["the red cube"]


def test_large_pictures_are_reduced() -> None:
    mask = np.zeros((1500, 3000), bool)
    mask[600:1200, 900:1800] = True
    page = Page(Answer("", [Mask(mask, 1.0)], None, Trace(""), Image.new("RGB", (3000, 1500))).html())
    (picture,), (drawing,) = page.of("img"), page.of("svg")
    assert (picture["width"], picture["height"]) == ("1280", "640")
    width, height = map(int, (drawing["viewbox"] or "").split()[2:])
    numbers = [float(value) for value in re.findall(r"[\d.]+", page.of("path")[0]["d"] or "")]
    assert (min(numbers[::2]) / width, max(numbers[::2]) / width) == pytest.approx((0.3, 0.6), abs=0.001)
    assert (min(numbers[1::2]) / height, max(numbers[1::2]) / height) == pytest.approx((0.4, 0.8), abs=0.001)
