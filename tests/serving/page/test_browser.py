"""The page in Debian's chromium, as people use it.

`SCREENSHOTS=docs/images pytest tests/serving/page/test_browser.py -m slow` makes the pictures of docs/demo.md.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from perceptio.decoding.events import TextDelta
from perceptio.serving.engine import Engine, EngineEvent, Query
from perceptio.serving.page.app import PageSettings, page_of

from .conftest import QUESTION, SAMPLE, free_port

playwright = pytest.importorskip("playwright.sync_api", reason="scripts/ensure_browser.sh installs it")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="scripts/ensure_browser.sh installs chromium"),
]

LAPTOP, PHONE = (1366, 900), (390, 844)
_SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # for the relief

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    with page_of(engine, PageSettings(port=free_port())) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_SOFTWARE_GL])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Open]:
    """Open the page as a new visitor. No visitor's browser may ask anything of elsewhere, or meet an error."""
    contexts, elsewhere, errors = [], [], []

    def go(size: tuple[int, int] = LAPTOP, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: elsewhere.append(request.url) if _is_elsewhere(request.url) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".viewer-examples img")
        return page

    def _is_elsewhere(url: str) -> bool:
        return not url.startswith((address + "/", "data:", "blob:"))

    yield go
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert errors == []


def choose_sample(page: Any) -> None:
    page.locator(".viewer-examples img").first.click()
    page.wait_for_selector(".talk-suggestion")


def wait_for_turns(page: Any, count: int) -> None:
    page.wait_for_function(f"document.querySelectorAll('.talk-note').length === {count}")


def drop(page: Any, content: bytes, name: str, kind: str) -> None:
    page.evaluate(
        """([content, name, type]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type }));
            for (const event of ["dragenter", "dragover", "drop"]) {
                const made = new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector(".viewer-stage").dispatchEvent(made);
            }
        }""",
        [base64.b64encode(content).decode(), name, kind],
    )


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where in the window a pixel of the sample picture is."""
    frame = page.locator(".viewer-stage").bounding_box()
    return frame["x"] + frame["width"] * x / 448, frame["y"] + frame["height"] * y / 448


def screenshot(page: Any, tmp_path: Path, name: str) -> None:
    """A JPEG, kept among the tests' files or where SCREENSHOTS says."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.save(folder / f"{name}.jpg", quality=82, optimize=True)


def test_drop_ask_and_look(visit: Open, tmp_path: Path) -> None:
    page = visit(device_scale_factor=1)
    drop(page, SAMPLE.read_bytes(), "sample.png", "image/png")
    page.wait_for_selector(".viewer-picture[src^='data:image/jpeg']")
    assert page.locator(".viewer-picture").get_attribute("alt")
    page.evaluate(
        """() => {
            window.seen = [];
            const look = () => {
                const progress = document.querySelector(".talk-progress")?.textContent;
                if (progress && progress !== window.seen.at(-1)) window.seen.push(progress);
            };
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )
    page.fill("#question input", QUESTION)
    page.click("#ask")
    wait_for_turns(page, 1)
    seen = " ".join(page.evaluate("window.seen"))
    assert "segment 1" in seen
    assert "depth " in seen
    assert page.locator(".viewer-masks path").count() == 2
    assert page.locator(".viewer-depth img").is_visible()
    assert "ms" in page.locator(".talk-note").inner_text()

    phrase = page.locator(".talk-phrase", has_text="the green pyramid")
    phrase.hover()
    assert page.locator(".viewer-masks path.is-lit").count() == 1
    assert "the green pyramid" in page.locator(".viewer-label").inner_text()
    screenshot(page, tmp_path, "demo")

    page.locator(".viewer-opacity").fill("90")
    page.wait_for_function("getComputedStyle(document.querySelector('.viewer-masks path')).fillOpacity === '0.9'")
    knob = page.locator(".viewer-divider span").bounding_box()
    page.mouse.move(knob["x"] + 10, knob["y"] + 10)
    page.mouse.down()
    page.mouse.move(*place(page, 112, 224), steps=4)
    page.mouse.up()
    assert page.locator(".viewer-divider").get_attribute("aria-valuenow") == "25"
    assert page.locator(".talk-turn").count() == 1  # to slide is not to click


def test_click_and_drag_segment(visit: Open) -> None:
    page = visit()
    choose_sample(page)
    page.mouse.click(*place(page, 162, 196))
    wait_for_turns(page, 1)
    assert page.locator(".talk-question").inner_text() == "Point at 162, 196"
    assert page.locator(".viewer-masks path").count() == 1
    page.mouse.move(*place(page, 112, 132))
    page.mouse.down()
    page.mouse.move(*place(page, 214, 260), steps=5)
    assert page.locator(".viewer-box").is_visible()
    page.mouse.up()
    wait_for_turns(page, 2)
    assert page.locator(".talk-question").last.inner_text().startswith("Box at 112, 132, 214")
    page.locator(".talk-turn").first.hover()  # an earlier turn shows its own mask again
    assert not page.locator(".viewer-box").is_visible()
    assert page.locator(".viewer-masks path").count() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"just a text", "known format"), (b"", "empty"), (b"0" * (21 << 20), "maximum allowed size")],
    ids=["text", "empty", "large"],
)
def test_what_is_no_picture_gives_a_message(visit: Open, content: bytes, said: str) -> None:
    page = visit()
    drop(page, content, "notes.txt", "text/plain")
    message = page.locator(".toast-body").first.inner_text(timeout=20_000)
    assert said in message
    assert "Traceback" not in message
    assert page.locator(".viewer.is-empty").count() == 1


def test_a_question_without_words_gives_a_message(visit: Open) -> None:
    page = visit()
    choose_sample(page)
    page.fill("#question input", "   ")
    page.press("#question input", "Enter")
    assert "question" in page.locator(".toast-body").first.inner_text()


def test_the_keyboard_is_enough(visit: Open) -> None:
    page = visit()

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to(".viewer-examples button:has(img)")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector(".talk-suggestion")
    tab_to("#question input")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    wait_for_turns(page, 1)
    tab_to(".viewer-stage")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    wait_for_turns(page, 2)
    assert page.locator(".talk-question").last.inner_text() == "Point at 170, 224"
    for arrow in ["ArrowDown"] * 4 + ["ArrowLeft"] * 5:
        page.keyboard.press(f"Shift+{arrow}")
    page.keyboard.press("Enter")
    wait_for_turns(page, 3)
    assert page.locator(".talk-question").last.inner_text() == "Box at 125, 224, 170, 260"
    tab_to(".viewer-divider")
    page.keyboard.press("Home")
    assert page.locator(".viewer-divider").get_attribute("aria-valuenow") == "0"
    tab_to(".talk-phrase")
    assert page.locator(".viewer-masks path.is-lit").count() == 1


def test_everything_has_a_name(visit: Open) -> None:
    page = visit()
    choose_sample(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, img, [role=slider], [role=application]")]
            .filter((node) => node.checkVisibility())
            .filter((node) => !(node.getAttribute("aria-label") || node.alt || node.title || node.textContent.trim()
                || node.placeholder || node.closest("label")?.textContent.trim()
                || node.querySelector("img")?.alt))
            .map((node) => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_tokens_relief_and_files(visit: Open) -> None:
    page = visit()
    choose_sample(page)
    page.fill("#question input", QUESTION)
    page.press("#question input", "Enter")
    wait_for_turns(page, 1)
    page.wait_for_selector("#relief canvas", timeout=30_000)
    page.get_by_role("tab", name="Tokens").click()
    assert page.locator(".tokens .code").count() == 100
    page.get_by_role("tab", name="Download").click()
    for label, begins in {
        "Picture with masks": b"\x89PNG",
        "Depth map": b"\x89PNG",
        "Answer": b"{",
        "Relief": b"glTF",
    }.items():
        with page.expect_download() as download:
            page.locator("#downloads button", has_text=label).click()
        assert Path(download.value.path()).read_bytes().startswith(begins)


class Endless(Engine):
    """Answers without an end; knows how many still listen."""

    listening = 0

    async def stream(self, query: Query, *, deadline_s: float | None = None) -> AsyncGenerator[EngineEvent, None]:
        self.listening += 1
        try:
            while True:
                await asyncio.sleep(0.05)
                yield TextDelta("word ")
        finally:
            self.listening -= 1


def test_who_stops_or_leaves_frees_the_place(browser: Any, engine: Engine) -> None:
    endless = Endless(engine.model)

    def wait_until(listening: int) -> None:
        until = time.monotonic() + 20
        while endless.listening != listening:
            assert time.monotonic() < until
            time.sleep(0.05)

    with page_of(endless, PageSettings(port=free_port())) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        choose_sample(page)
        page.locator(".talk-suggestion").first.click()
        page.wait_for_selector(".talk-answer")
        assert endless.listening == 1
        page.click("#stop")
        wait_for_turns(page, 1)
        wait_until(0)
        assert page.locator("#ask").is_visible()
        page.locator(".talk-suggestion").first.click()
        page.locator(".talk-answer").nth(1).wait_for()
        context.close()
        wait_until(0)


def test_a_phone(visit: Open, tmp_path: Path) -> None:
    page = visit(PHONE, is_mobile=True, has_touch=True, device_scale_factor=1)
    choose_sample(page)
    page.locator(".talk-suggestion").first.tap()
    wait_for_turns(page, 1)
    width = page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth, window.innerWidth]")
    assert width == [390, 390, 390]
    assert page.locator(".viewer-draw").is_visible()
    page.touchscreen.tap(*place(page, 162, 196))
    wait_for_turns(page, 2)
    assert page.locator(".talk-question").last.inner_text().startswith("Point at 16")
    page.locator(".talk-turn").first.tap()
    page.evaluate("window.scrollTo(0, 0)")
    screenshot(page, tmp_path, "demo-phone")


def test_a_dark_room(visit: Open, tmp_path: Path) -> None:
    page = visit(color_scheme="dark", device_scale_factor=1)
    choose_sample(page)
    page.get_by_role("button", name="How many pyramids").click()
    wait_for_turns(page, 1)
    ink, paper = page.evaluate(
        """() => [getComputedStyle(document.querySelector(".talk-answer")).color,
            getComputedStyle(document.querySelector(".talk-log")).backgroundColor]
            .map((color) => color.match(/\\d+/g).slice(0, 3).reduce((sum, value) => sum + Number(value), 0) / 3)"""
    )
    assert ink - paper > 150
    screenshot(page, tmp_path, "demo-dark")
